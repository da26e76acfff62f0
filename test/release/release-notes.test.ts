import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ROOT, read } from '../docs/pages.ts'

const { version } = JSON.parse(read('package.json')) as { version: string }
const CHANGELOG = `# Changelog

## [Unreleased]

## [2.1.0] - 2027-01-31

What is new.

### Added

- More.

## [2.0.0] - 2026-12-24

### Changed

- All.
`

interface State {
  readonly tag?: string
  readonly inPackage?: string
  readonly inCode?: string
  readonly changelog?: string
}

/** Asks for the notes of a release in a repository in this state. */
function notesOf({ tag = 'v2.1.0', inPackage = '2.1.0', inCode = '2.1.0', changelog = CHANGELOG }: State) {
  const directory = mkdtempSync(join(tmpdir(), 'notes-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  for (const folder of ['scripts', 'src']) mkdirSync(join(directory, folder))
  cpSync(join(ROOT, 'scripts/release-notes.mjs'), join(directory, 'scripts/release-notes.mjs'))
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ version: inPackage }))
  writeFileSync(join(directory, 'src/version.ts'), `export const VERSION = '${inCode}'\n`)
  writeFileSync(join(directory, 'CHANGELOG.md'), changelog)
  const args = ['scripts/release-notes.mjs', ...(tag === '' ? [] : [tag])]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: directory, encoding: 'utf8' })
  return { status, stdout, stderr }
}

describe('the notes of a release', () => {
  it('are its section of the changelog', () => {
    const stdout = 'What is new.\n\n### Added\n\n- More.\n'
    expect(notesOf({})).toEqual({ status: 0, stdout, stderr: '' })
    expect(notesOf({ changelog: CHANGELOG.replaceAll('\n', '\r\n') })).toMatchObject({ status: 0, stdout })
  })

  it.each<[string, State, string]>([
    ['another tag', { tag: 'v2.1.1' }, 'the tag is v2.1.1, but package.json has the version 2.1.0: expected v2.1.0'],
    ['a tag without v', { tag: '2.1.0' }, 'the tag is 2.1.0, but package.json has the version 2.1.0: expected v2.1.0'],
    ['no tag', { tag: '' }, 'the tag is missing, but package.json has the version 2.1.0: expected v2.1.0'],
    ['another version in the code', { inCode: '2.0.0' }, 'src/version.ts has the version 2.0.0: run node scripts/write-version.mjs'],
    [
      'no section in the changelog',
      { tag: 'v2.2.0', inPackage: '2.2.0', inCode: '2.2.0' },
      'the newest release of CHANGELOG.md is 2.1.0, not 2.2.0 with its date',
    ],
    [
      'a section without a date',
      { changelog: CHANGELOG.replace(' - 2027-01-31', '') },
      'the newest release of CHANGELOG.md is missing, not 2.1.0 with its date',
    ],
    [
      'effects that are still unreleased',
      { changelog: CHANGELOG.replace('[Unreleased]\n', '[Unreleased]\n\n### Fixed\n\n- A fault.\n') },
      'CHANGELOG.md still has entries under Unreleased: move them to the release',
    ],
  ])('are refused with %s, and the error says what differs', (_, state, fault) => {
    expect(notesOf(state)).toEqual({ status: 1, stdout: '', stderr: `This is no release:\n  ${fault}\n` })
  })

  it('exist for the version of this package', () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/release-notes.mjs', `v${version}`], {
      cwd: ROOT,
      encoding: 'utf8',
    })
    expect(stderr.replace(/\n {2}CHANGELOG\.md still has entries .*|This is no release:|\n/g, '')).toBe('')
    if (status === 0) expect(stdout).toContain('### ')
  })
})
