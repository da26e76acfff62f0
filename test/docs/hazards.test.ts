import { describe, expect, it } from 'vitest'
import { rowsOf } from '../orchestrator/captured.ts'
import { codeSpans, filesUnder, type Page, pagesUnder, read } from './pages.ts'
import { type QuotedTest, quotedTests, testTitles } from './test-titles.ts'

const PAGE = read('docs/hazards.md')
const files = filesUnder('')
const docs = pagesUnder('docs', /\.md$/)

/** The sections of the page, by the number of their hazard. */
function sectionsOf(page: string): { hazard: number; text: string }[] {
  return page
    .split(/^(?=## )/m)
    .slice(1)
    .map((text) => ({ hazard: Number(/^## H(\d+): \S/.exec(text)?.[1]), text }))
}

/** The numbers of all hazards that a text cites: `H7`, "hazard 7", "hazards 4, 5 and 7", also across the lines of a comment. */
function citedHazards(text: string): number[] {
  const short = [...text.matchAll(/\bH(\d{1,2})\b/g)].map(([, number]) => Number(number))
  const long = [...text.matchAll(/\bhazards?[\s*/]+(\d+(?:(?:, ?|-|–|[\s*/]+and[\s*/]+|[\s*/]+to[\s*/]+)\d+)*)/gi)]
  return [...short, ...long.flatMap(([, numbers = '']) => (numbers.match(/\d+/g) ?? []).map(Number))]
}

/** Places that cite a hazard which the page does not describe. */
function undescribed(pages: readonly Page[], hazards: readonly number[]): string[] {
  return pages.flatMap(({ path, text }) =>
    citedHazards(text)
      .filter((hazard) => !hazards.includes(hazard))
      .map((hazard) => `${path}: H${hazard}`),
  )
}

const titlesByFile = new Map<string, string[]>()
/** The titles of a test file; `undefined`: there is no such file. */
function titlesOf(file: string): string[] | undefined {
  if (!files.includes(file)) return undefined
  const titles = titlesByFile.get(file) ?? testTitles({ path: file, text: read(file) })
  titlesByFile.set(file, titles)
  return titles
}

/** Whether a quoted test exists. */
function exists({ file, title }: QuotedTest): boolean {
  return title !== '' && (titlesOf(file)?.some((found) => found.includes(title)) ?? false)
}

const sections = sectionsOf(PAGE)
const hazards = sections.map(({ hazard }) => hazard)

describe('the page about hazards', () => {
  it('describes H1 to H22, in order, each once', () => {
    expect(hazards).toEqual(Array.from({ length: 22 }, (_, index) => index + 1))
  })

  it('describes every hazard that is cited anywhere', () => {
    const pages = pagesUnder('', /\.(?:[cm]?[jt]s|md)$/)
    expect(pages.flatMap(({ path, text }) => (path.startsWith('src/') ? citedHazards(text) : [])).length).toBeGreaterThan(50)
    expect(undescribed(pages, hazards)).toEqual([])
  })

  it('names in each section the generations, the recordings, a file that makes the client safe, and a test', () => {
    for (const { text } of sections) {
      const [heading = ''] = text.split('\n')
      for (const part of ['Generations:', 'Seen:', 'Safe because', 'Tests:']) expect(text, heading).toContain(`- **${part}**`)
      expect(codeSpans(text).filter((code) => /^src\/.+\.ts$/.test(code) && files.includes(code)).length, heading).toBeGreaterThan(0)
      expect(quotedTests({ path: '', text }).length, heading).toBeGreaterThan(0)
    }
  })

  it('names only sections and steps that exist in the recordings', () => {
    const names = (['python-2025-10', 'python-2026-04', 'go-v1'] as const).flatMap((capture) => rowsOf(capture).map(({ name }) => name))
    const parts = new Set(names.flatMap((name) => name.split('/')))
    const named = [...PAGE.matchAll(/- \*\*Seen:\*\*[^\n]*(?:\n {2}[^\n]*)*/g)].flatMap(([seen]) => codeSpans(seen))
    const steps = named.filter((code) => /^[\w-]+$/.test(code) && code !== 'gluetun')
    expect(steps.length).toBeGreaterThan(20)
    expect(steps.filter((step) => !parts.has(step))).toEqual([])
  })
})

describe('a page of docs/', () => {
  it.each(docs.map((page) => [page.path, page] as const))('quotes only tests whose file and title exist: %s', (_, page) => {
    expect(quotedTests(page).filter((test) => !exists(test))).toEqual([])
  })

  it('is searched for quoted tests: the search finds more than 40 in the page about hazards', () => {
    expect(quotedTests({ path: '', text: PAGE }).length).toBeGreaterThan(40)
  })
})

describe('the check of the pages', () => {
  const hazard = (number: number): string => `H${number}`

  it('finds a citation of a hazard that the page does not describe, in every notation', () => {
    // Assembled at run time: this test searches its own file too, and would find these citations.
    const word = 'hazard'
    const text = [
      `see ${hazard(7)}, ${hazard(23)}`,
      `(${word} 24), ${word}s 1, 25 and 26; ${word.toUpperCase()} 27: x`,
      ` * a comment about ${word}\n   * 28 and ${word}s 22-29`,
      `not ${word}, 30; SHA256; H264`,
    ].join('\n')
    const found = [23, 24, 25, 26, 27, 28, 29].map((number) => `a.ts: ${hazard(number)}`)
    expect(undescribed([{ path: 'a.ts', text }], hazards).toSorted()).toEqual(found)
  })

  it('finds a section that is missing, exists twice or has no number', () => {
    const page = `# x\n## ${hazard(1)}: a\n### b\n## ${hazard(1)}: c\n## d\n`
    expect(sectionsOf(page).map((section) => section.hazard)).toEqual([1, 1, Number.NaN])
  })

  it('finds a quoted test without an existing file, without an existing title, or without any title', () => {
    const text = [
      '- `test/docs/hazards.test.ts`: "describes every hazard",',
      '  "no such',
      '  title"',
      '  - `test/docs/gone.test.ts`: "describes every hazard"',
      '- `test/docs/hazards.test.ts`',
      '',
      '"no test"',
    ].join('\n')
    const quoted = quotedTests({ path: 'page.md', text })
    expect(quoted).toHaveLength(4)
    expect(quoted.filter((test) => !exists(test))).toEqual([
      { file: 'test/docs/hazards.test.ts', title: 'no such title' },
      { file: 'test/docs/gone.test.ts', title: 'describes every hazard' },
      { file: 'test/docs/hazards.test.ts', title: '' },
    ])
  })

  it('takes only the titles of describe, it and test for titles, and no other text of a test file', () => {
    const placeholder = '$'.concat('{kind}')
    const text = `describe.each([1])('a group', () => { it.each([2])(\`of ${placeholder}\`, () => expect('no title').toBe(1)) })\ntest.skip('x', f)`
    expect(testTitles({ path: 'a.test.ts', text })).toEqual(['a group', `of ${placeholder}`, 'x'])
  })
})
