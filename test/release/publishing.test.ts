import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ROOT, read } from '../docs/pages.ts'
import { npmSync } from '../support/npm.ts'

const manifest = JSON.parse(read('package.json')) as Record<string, unknown> & { scripts: Record<string, string> }
const COMPLETE = {
  author: 'somebody',
  repository: { type: 'git', url: 'git+https://git.test/owner/name.git' },
  homepage: 'https://git.test/owner/name#readme',
  bugs: { url: 'https://git.test/owner/name/issues' },
}

/** A registry that does not answer. */
const REGISTRY = ['--registry', 'http://127.0.0.1:9/', '--fetch-retries', '0', '--no-update-notifier']

/** A directory with this repository's release scripts and a package.json with these fields beside its own. */
function packageWith(fields: Record<string, unknown>): string {
  const directory = mkdtempSync(join(tmpdir(), 'release-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  mkdirSync(join(directory, 'scripts'))
  cpSync(join(ROOT, 'scripts/check-release.mjs'), join(directory, 'scripts/check-release.mjs'))
  const { author, repository, homepage, bugs, ...rest } = manifest
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ ...rest, ...fields }))
  return directory
}

function check(fields: Record<string, unknown>): { status: number | null; named: string[]; output: string } {
  const directory = packageWith(fields)
  const { status, stderr, stdout } = spawnSync(process.execPath, ['scripts/check-release.mjs'], { cwd: directory, encoding: 'utf8' })
  const named = [...stderr.matchAll(/^ {2}(\w+): expected /gm)].map(([, field = '']) => field)
  return { status, named, output: stdout + stderr }
}

describe('a release', () => {
  it('is refused while author, repository, homepage and bugs are missing, and the error names each of them', () => {
    const refused = check({})
    expect(refused).toMatchObject({ status: 1, named: ['author', 'repository', 'homepage', 'bugs'] })
    expect(refused.output).toContain('RELEASING.md')
  })

  it.each([
    { homepage: undefined },
    { repository: undefined, bugs: {} },
    { author: ' ', repository: '', homepage: 'readme', bugs: 'HOST' },
    { author: { email: 'a@b.test' }, repository: { type: 'git' }, homepage: 'https://HOST/OWNER/NAME' },
    { repository: 'somewhere', bugs: { url: 'issues' } },
  ])('is refused while some fields are missing or invalid, and the error names only these: %j', (fields) => {
    expect(check({ ...COMPLETE, ...fields })).toMatchObject({ status: 1, named: Object.keys(fields) })
  })

  it.each([
    COMPLETE,
    { ...COMPLETE, author: { name: 'somebody' }, repository: 'github:owner/name', bugs: { email: 'bugs@git.test' } },
    { ...COMPLETE, repository: 'https://git.test/owner/name', bugs: 'https://git.test/issues' },
    { ...COMPLETE, repository: { type: 'git', url: 'git@git.test:owner/name.git' } },
  ])('is allowed when all fields are set: %j', (fields) => {
    expect(check(fields)).toEqual({ status: 0, named: [], output: '' })
  })

  it('is checked by `npm publish` before anything else', () => {
    const { status, stderr } = npmSync(['publish', ...REGISTRY], packageWith({}))
    expect(status).not.toBe(0)
    expect(stderr).toContain('Nothing was published: package.json lacks fields of a release.')
    for (const field of Object.keys(COMPLETE)) expect(stderr).toContain(`  ${field}: expected `)
  })

  const [checkRelease = ''] = manifest.scripts['prepublishOnly']?.split(' && ') ?? []
  const scripts = { prepublishOnly: checkRelease }
  /** What `npm publish --dry-run` writes beside the list of the files. A missing login is no fault of the package. */
  const dryRun = (fields: Record<string, unknown>) => {
    const directory = packageWith({ scripts, ...fields })
    mkdirSync(join(directory, 'dist'))
    writeFileSync(join(directory, 'dist/cli.js'), '#!/usr/bin/env node\n')
    const { status, stderr } = npmSync(['publish', '--dry-run', ...REGISTRY], directory)
    const lines = stderr.split(/\r?\n/).filter((line) => line !== '' && !/^npm notice|requires you to be logged in/.test(line))
    return { status, lines }
  }

  it('can be tried with `npm publish --dry-run` without the fields, without a login and without a registry: one note names the fields', () => {
    const { status, lines } = dryRun({ author: 'somebody' })
    expect(status).toBe(0)
    expect(lines).toEqual([
      'Note: before the first release, set these fields of package.json: repository, homepage, bugs. RELEASING.md says how. This dry run goes on.',
    ])
  })

  it('gets no note and no correction by npm in a dry run once the fields are set', () => {
    // The form of RELEASING.md. npm corrects other forms of such an address, and warns.
    const repository = { type: 'git', url: 'git+https://github.com/owner/name.git' }
    expect(dryRun({ ...COMPLETE, repository })).toEqual({ status: 0, lines: [] })
  })

  it('runs all checks of the package in a dry run too, with tools that must really pack', () => {
    expect(manifest.scripts['prepublishOnly']).toBe('node scripts/check-release.mjs && npm run -s check --no-dry-run')
  })

  it('needs only fields that RELEASING.md explains', () => {
    const guide = read('RELEASING.md')
    for (const field of Object.keys(COMPLETE)) expect(guide).toContain(`| \`${field}\` |`)
  })
})
