// Runs before `npm publish` (`prepublishOnly`). The page of the registry needs these fields, and a published version cannot be changed.
// `npm publish --dry-run` publishes nothing, so there a missing field is a note.
import { readFileSync } from 'node:fs'

const isText = (value) => typeof value === 'string' && value.trim() !== ''
const isWebAddress = (value) => isText(value) && /^https?:\/\/[^/\s.]+\.[^/\s]+/.test(value)
const isRepository = (value) =>
  isText(value) && /^((git\+)?(https?|ssh):\/\/|git@|((github|gitlab|bitbucket):)?[\w.-]+\/[\w.-]+$)/.test(value)

const CHECKS = {
  author: [(value) => isText(value?.name ?? value), 'a name'],
  repository: [(value) => isRepository(value?.url ?? value), 'the address for `git clone`, which also completes the links of the README'],
  homepage: [isWebAddress, 'an http(s) address'],
  bugs: [(value) => isWebAddress(value?.url ?? value) || isText(value?.email), 'the http(s) address of the issue tracker, or an email'],
}

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
const missing = Object.entries(CHECKS).filter(([field, [isSet]]) => !isSet(manifest[field]))
const isDryRun = process.env.npm_config_dry_run === 'true'
if (missing.length > 0 && isDryRun) {
  const fields = missing.map(([field]) => field).join(', ')
  console.error(`Note: before the first release, set these fields of package.json: ${fields}. RELEASING.md says how. This dry run goes on.`)
} else if (missing.length > 0) {
  console.error('Nothing was published: package.json lacks fields of a release.')
  for (const [field, [, expected]] of missing) console.error(`  ${field}: expected ${expected}`)
  console.error('RELEASING.md says how to set them.')
  process.exitCode = 1
}
