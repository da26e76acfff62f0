// Prints the notes of a release: `node scripts/release-notes.mjs v1.2.3`. Fails if the tag, the version of the package and the newest release of
// CHANGELOG.md differ, so that a wrong tag publishes nothing.
import { readFileSync } from 'node:fs'

const read = (path) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')
const [tag] = process.argv.slice(2)
const { version } = JSON.parse(read('package.json'))
const [, inCode] = /VERSION = '([^']*)'/.exec(read('src/version.ts')) ?? []
const sections = read('CHANGELOG.md').replaceAll('\r\n', '\n').split(/^## /m).slice(1)
const [unreleased = '', newest = ''] = sections
const [, inChangelog] = /^\[([^\]]+)\] - \d{4}-\d{2}-\d{2}\n/.exec(newest) ?? []

const faults = [
  ...(tag === `v${version}` ? [] : [`the tag is ${tag ?? 'missing'}, but package.json has the version ${version}: expected v${version}`]),
  ...(inCode === version ? [] : [`src/version.ts has the version ${inCode}: run node scripts/write-version.mjs`]),
  ...(inChangelog === version ? [] : [`the newest release of CHANGELOG.md is ${inChangelog ?? 'missing'}, not ${version} with its date`]),
  ...(/^- /m.test(unreleased) ? ['CHANGELOG.md still has entries under Unreleased: move them to the release'] : []),
]
if (faults.length > 0) {
  console.error(['This is no release:', ...faults].join('\n  '))
  process.exitCode = 1
} else {
  console.log(newest.slice(newest.indexOf('\n')).trim())
}
