import { describe, expect, it } from 'vitest'
import { COMMANDS } from '../../src/cli/arguments.ts'
import { DEFAULTS } from '../../src/options/resolve.ts'
import { deepMembersOf } from './declarations.ts'
import { codeSpans, pagesUnder, read } from './pages.ts'
import { tablesOf } from './tables.ts'
import { quotedTests } from './test-titles.ts'

/** A part of a page, with its heading. */
interface Section {
  readonly heading: string
  readonly text: string
}

/** The parts of a page below its headings of one level. */
function sectionsOf(page: string, level: '##' | '###'): Section[] {
  return page
    .split(new RegExp(`^${level} `, 'm'))
    .slice(1)
    .map((text) => ({ heading: text.split('\n', 1)[0] ?? '', text: text.split(/^##? /m)[0] ?? '' }))
}

const FAILURES = read('docs/failures.md')
const GUARANTEES = read('docs/guarantees.md')
/** What people wrote, without the screens of the doctor. */
const SYMPTOMS = read('docs/troubleshooting.md').split('<!-- screens')[0] ?? ''
const PAGES = Object.entries({ FAILURES, SYMPTOMS, GUARANTEES, CONCEPTS: read('docs/concepts.md'), PLAYBACKS: read('docs/playbacks.md') })

const code = [...pagesUnder('src', /\.ts$/), ...pagesUnder('examples/proxy', /\.ts$/)].map(({ text }) => text)
/** What stands for a value in a log line that a page shows. */
const PLACEHOLDER = /\b(?:HOST|PATH|URL|REASON)\b|…/

/** Log lines of a page, `level` before the code, that no file of the code contains. */
function unknownLines(page: string): string[] {
  const lines = [...page.matchAll(/\b(?:error|warn|info)\s+`([^`]+)`/g)].map(([, line = '']) => line)
  return lines.filter((line) => {
    const parts = line.split(PLACEHOLDER).map((part) => part.replace(/ works again$/, ' '))
    return !code.some((text) => parts.every((part) => text.includes(part.trim())))
  })
}

const MS = { ms: 1, s: 1_000, min: 60_000, h: 3_600_000 } as const
/** Defaults of a page, `name` and then the duration or the number in brackets, that the client does not have. */
function wrongDefaults(page: string): string[] {
  return [...page.matchAll(/`(\w+)` \(([\d.,]+)(?: (ms|s|min|h))?\)/g)].flatMap(([written, name = '', number = '', unit]) => {
    const value: unknown = (DEFAULTS as Record<string, unknown>)[name]
    const factor = unit === undefined ? 1 : MS[unit as keyof typeof MS]
    return value === undefined || value === Number(number.replaceAll(',', '')) * factor ? [] : [written]
  })
}

/** Settings of Docker Compose and nginx. */
const SETTINGS_OF_OTHERS = ['stop_grace_period', 'proxy_read_timeout']
/** Names of a page with an underscore, such as codes of the doctor and reasons, that the code does not have. */
function unknownCodes(page: string): string[] {
  return codeSpans(page)
    .filter((name) => /^[a-z]+(?:_[a-z]+)+$/.test(name) && !SETTINGS_OF_OTHERS.includes(name))
    .filter((name) => !code.some((text) => new RegExp(`\\b${name}\\b`).test(text)))
}

const metrics = deepMembersOf('MetricsSnapshot')
/** Metrics of a page that the client does not have. */
function unknownMetrics(page: string): string[] {
  const groups = new Set(metrics.flatMap((name) => (name.includes('.') ? [name.split('.')[0]] : [])))
  return codeSpans(page).filter((name) => /^\w+\.\w+$/.test(name) && groups.has(name.split('.')[0]) && !metrics.includes(name))
}

describe('the page about failures', () => {
  const sections = sectionsOf(FAILURES, '##').slice(2)

  it('says of each failure what the client does, what viewers and the operator see, and which test shows it', () => {
    expect(sections.length).toBeGreaterThan(20)
    for (const { heading, text } of sections) {
      for (const part of ['The client', 'Viewers', 'You see', 'Tests:']) expect(text, heading).toContain(`\n- **${part}**`)
      expect(quotedTests({ path: '', text }).length, heading).toBeGreaterThan(0)
    }
  })

  it('shows what viewers see in one table, for at least a dozen failures', () => {
    expect(tablesOf(FAILURES).find(({ columns }) => columns[0] === 'what fails')?.rows.length).toBeGreaterThan(11)
  })
})

describe('the page about guarantees', () => {
  const guarantees = sectionsOf(GUARANTEES, '##').filter(({ heading }) => heading !== 'How it is tested')

  it('says how each guarantee is tested, with a test for each of its marks', () => {
    expect(guarantees).toHaveLength(7)
    for (const { heading, text } of guarantees) {
      const [, tested = ''] = text.split('- **Tested by**')
      const quoted = quotedTests({ path: '', text: tested })
      expect(quoted.length, heading).toBeGreaterThan(1)
      for (const [, mark] of text.matchAll(/\*\*(I\d)\.\*\*/g)) {
        expect(quoted.filter(({ title }) => title.includes(`[${mark}]`)).length, `${heading}: ${mark}`).toBeGreaterThan(0)
      }
    }
  })

  it('has all eight marks', () => {
    const marks = guarantees.flatMap(({ text }) => [...text.matchAll(/\*\*(I\d)\.\*\*/g)].map(([, mark = '']) => mark))
    expect(marks.toSorted()).toEqual(['I1', 'I2', 'I3', 'I4', 'I5', 'I6', 'I7', 'I8'])
  })

  it('names for each kind of test the files that have it', () => {
    const kinds = tablesOf(GUARANTEES).find(({ columns }) => columns[0] === 'kind of test')?.rows ?? []
    expect(kinds.length).toBeGreaterThan(7)
    // Another test checks that these files exist.
    for (const { where = '' } of kinds) expect(codeSpans(where).filter((name) => name.endsWith('.test.ts')).length).toBeGreaterThan(0)
  })
})

describe('the symptoms', () => {
  const symptoms = sectionsOf(SYMPTOMS, '###')

  it('are at least twenty, each with causes in order, a way to check, and what to do', () => {
    expect(symptoms.length).toBeGreaterThan(19)
    for (const { heading, text } of symptoms) {
      expect(text, heading).toMatch(/\n1\. \*\*/)
      expect(text, heading).toMatch(/\bDo:/)
      expect(text, heading).toMatch(/\bCheck:|\bSIGTERM\b/)
    }
  })

  it('are all in the list at the top', () => {
    const [list = ''] = (SYMPTOMS.split('\n## Symptoms\n')[1] ?? '').split('\n### ')
    const linked = [...list.matchAll(/\]\(#([\w-]+)\)/g)].map(([, anchor = '']) => anchor)
    expect(linked).toHaveLength(symptoms.length)
    expect(new Set(linked).size).toBe(symptoms.length)
  })

  it('follow the commands of the program, of which each is described', () => {
    const commands = tablesOf(SYMPTOMS).find(({ columns }) => columns[0] === 'command')?.rows ?? []
    const described = commands.map(({ command = '' }) => codeSpans(command)[0]?.split(' ')[0])
    expect(['doctor', ...described]).toEqual(COMMANDS)
  })
})

describe('a page about failures', () => {
  it.each(PAGES)('shows only log lines that the code writes: %s', (_, page) => {
    expect(unknownLines(page)).toEqual([])
  })

  it.each(PAGES)('gives the defaults that the client uses: %s', (_, page) => {
    expect(wrongDefaults(page)).toEqual([])
  })

  it.each(PAGES)('names only codes and metrics that exist: %s', (_, page) => {
    expect([...unknownCodes(page), ...unknownMetrics(page)]).toEqual([])
  })

  it('is searched for log lines, defaults, codes and metrics, of which there are many', () => {
    const text = FAILURES + SYMPTOMS
    expect([...text.matchAll(/\b(?:error|warn|info)\s+`/g)].length).toBeGreaterThan(20)
    expect([...text.matchAll(/`(\w+)` \([\d.,]+/g)].length).toBeGreaterThan(15)
  })
})

describe('the check of these pages', () => {
  it('finds a log line that the code does not write', () => {
    const text =
      'warn `No new engine could be started`, info `The orchestrator at URL answers again`, error `The orchestrator at URL explodes`'
    expect(unknownLines(text)).toEqual(['The orchestrator at URL explodes'])
  })

  it('finds a default that is not that of the client', () => {
    expect(
      wrongDefaults('`waitMs` (30 s), `waitMs` (31 s), `engineAttempts` (2), `deliveryTimeoutMs` (1 h), `leaseTtlMs` (60 min)'),
    ).toEqual(['`waitMs` (31 s)', '`leaseTtlMs` (60 min)'])
  })

  it('finds a code and a metric that do not exist', () => {
    expect(unknownCodes('`vpn_down` `vpn_gone`')).toEqual(['vpn_gone'])
    expect(unknownMetrics('`events.pending` `events.gone` `stream.lost`')).toEqual(['events.gone'])
  })
})
