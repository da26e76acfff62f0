import { describe, expect, it } from 'vitest'
import { read } from './pages.ts'

const LONGEST = 140
/** The groups of a release, in their order. */
const GROUPS = ['Added', 'Changed', 'Deprecated', 'Removed', 'Fixed', 'Security', 'Limits']
const RELEASE = /^\[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d{2}-\d{2})$/
const { version } = JSON.parse(read('package.json')) as { version: string }

interface Section {
  readonly heading: string
  readonly lines: readonly string[]
}

function sectionsOf(changelog: string): Section[] {
  const [, ...sections] = changelog.split(/^## /m)
  return sections.map((section) => {
    const [heading = '', ...lines] = section.split('\n')
    return { heading, lines }
  })
}

const isDate = (text: string): boolean => new Date(`${text}T00:00:00Z`).toJSON()?.slice(0, 10) === text
const numberOf = ([, major = '', minor = '', patch = '']: RegExpExecArray): number =>
  Number(major) * 1e6 + Number(minor) * 1e3 + Number(patch)

/** What is wrong with the form of a changelog. */
function faultsOf(changelog: string): string[] {
  const [unreleased, ...releases] = sectionsOf(changelog)
  const faults: string[] = []
  if (unreleased?.heading !== '[Unreleased]') faults.push('the first section is not [Unreleased]')
  const parsed = releases.map(({ heading }) => RELEASE.exec(heading))
  for (const [index, release] of parsed.entries()) {
    const heading = releases[index]?.heading
    const older = parsed[index + 1]
    if (!release || !isDate(release[4] ?? '')) faults.push(`${heading}: no release with a date`)
    else if (older && numberOf(older) >= numberOf(release)) faults.push(`${heading}: not newer than the release below`)
    else if (older && (older[4] ?? '') > (release[4] ?? '')) faults.push(`${heading}: its date is before that of the release below`)
  }
  for (const { heading, lines } of sectionsOf(changelog)) {
    const groups = lines.flatMap((line) => (line.startsWith('### ') ? [line.slice(4)] : []))
    const known = GROUPS.filter((group) => groups.includes(group))
    if (groups.join() !== known.join()) faults.push(`${heading}: its groups are ${groups.join(', ')}`)
    const entries = lines.filter((line) => line.startsWith('- '))
    if (entries.length === 0 && heading !== '[Unreleased]') faults.push(`${heading}: no entry`)
    for (const [index, entry] of entries.entries()) {
      if (entry.length > LONGEST) faults.push(`longer than ${LONGEST} characters: ${entry}`)
      if (!/^- [`\dA-Z].*[.]$/.test(entry)) faults.push(`not a sentence: ${entry}`)
      if (entries.indexOf(entry) !== index) faults.push(`twice: ${entry}`)
    }
    // An entry has one line. A line between the entries names their subject, or describes the release.
    for (const line of lines) if (!/^($|- |### [A-Z]|[A-Z].*[.:]$)/.test(line)) faults.push(`not an entry: ${line}`)
  }
  return faults
}

describe('the changelog', () => {
  const changelog = read('CHANGELOG.md')

  it('has dated releases, the newest first, each with one short line for each effect', () => {
    expect(faultsOf(changelog)).toEqual([])
    expect(changelog.match(/^- /gm)?.length).toBeGreaterThan(50)
  })

  it('has the version of the package as its newest release', () => {
    expect(
      RELEASE.exec(sectionsOf(changelog)[1]?.heading ?? '')
        ?.slice(1, 4)
        .join('.'),
    ).toBe(version)
  })
})

describe('the check of the changelog', () => {
  const GOOD = `# Changelog\n\n## [Unreleased]\n\n### Fixed\n\n- A fault is gone.\n
## [1.10.0] - 2026-12-01\n\nA release.\n\n### Added\n\nClient:\n\n- \`more\` does more.\n\n### Limits\n\n- Not all.\n
## [1.9.0] - 2026-12-01\n\n### Removed\n\n- Less.\n`

  it('accepts a good one', () => {
    expect(faultsOf(GOOD)).toEqual([])
    expect(faultsOf(GOOD.replace('### Fixed\n\n- A fault is gone.\n', ''))).toEqual([])
  })

  it.each([
    ['no section for unreleased effects', '## [Unreleased]', '## Coming', 'the first section is not [Unreleased]'],
    ['a release without a date', '] - 2026-12-01\n\nA', ']\n\nA', '[1.10.0]: no release with a date'],
    ['a day that does not exist', '2026-12-01', '2026-02-30', '[1.10.0] - 2026-02-30: no release with a date'],
    ['an older release above a newer one', '[1.10.0]', '[1.8.0]', '[1.8.0] - 2026-12-01: not newer than the release below'],
    [
      'a date before the date of the release below',
      '2026-12-01',
      '2026-11-30',
      '[1.10.0] - 2026-11-30: its date is before that of the release below',
    ],
    ['a group that is not known', '### Removed', '### Gone', '[1.9.0] - 2026-12-01: its groups are Gone'],
    ['groups in another order', '### Added', '### Limits\n\n### Added', '[1.10.0] - 2026-12-01: its groups are Limits, Added, Limits'],
    ['a release without an entry', '- Less.', '', '[1.9.0] - 2026-12-01: no entry'],
    ['an entry that is too long', '- Less.', `- ${'L'.repeat(LONGEST)}.`, `longer than ${LONGEST} characters: - ${'L'.repeat(LONGEST)}.`],
    ['an entry without an end', '- Less.', '- Less', 'not a sentence: - Less'],
    ['an entry that is repeated', '- Less.', '- Less.\n- Less.', 'twice: - Less.'],
    ['an entry with a second line', '- Less.', '- Less.\n  And more.', 'not an entry:   And more.'],
  ])('finds %s', (_, good, bad, fault) => {
    expect(faultsOf(GOOD.replace(good, bad))).toEqual([fault])
  })
})
