import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ROOT, read } from '../docs/pages.ts'

const manifest = JSON.parse(read('package.json')) as Record<string, unknown> & { scripts: Record<string, string> }
const COMPLETE = {
  author: 'somebody',
  repository: { type: 'git', url: 'git+https://git.test/owner/name.git' },
  homepage: 'https://git.test/owner/name#readme',
  bugs: { url: 'https://git.test/owner/name/issues' },
}

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

  it('is checked by `npm publish` before anything else, also with --dry-run', () => {
    const { status, stderr } = spawnSync('npm', ['publish', '--dry-run', '--registry', 'http://127.0.0.1:9/'], {
      cwd: packageWith({}),
      encoding: 'utf8',
    })
    expect(status).not.toBe(0)
    expect(stderr).toContain('Nothing was published: package.json lacks fields of a release.')
    for (const field of Object.keys(COMPLETE)) expect(stderr).toContain(`  ${field}: expected `)
  })

  it('needs only fields that RELEASING.md explains', () => {
    const guide = read('RELEASING.md')
    for (const field of Object.keys(COMPLETE)) expect(guide).toContain(`| \`${field}\` |`)
  })
})
