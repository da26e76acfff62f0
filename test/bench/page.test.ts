import { describe, expect, it } from 'vitest'
import { BEGIN, END, generatedPart, pageWith } from '../../bench/frame/page.ts'
import { apart, decades, svgOf } from '../../bench/frame/plot.ts'
import type { Row } from '../../bench/frame/row.ts'
import { GROUPS } from '../../bench/groups.ts'
import { PLOTS } from '../../bench/plots.ts'
import { read, relativeLinks } from '../docs/pages.ts'

const rows = GROUPS.flatMap((group) => group.rows ?? [])
const tables = GROUPS.flatMap((group) => group.tables ?? [])

describe('BENCHMARKS.md', () => {
  const page = read('BENCHMARKS.md')

  it.each(rows.map((row) => [row.id, row] as const))('has the row %s with its goal', (id, { goal }) => {
    const line = page.split('\n').find((text) => text.startsWith(`| ${id} |`)) ?? ''
    expect(line).toContain(`| ≤ ${goal.toLocaleString('en')} `)
  })

  it.each(tables.map(({ id, title }) => [id, title] as const))('has the table %s', (id, title) => {
    expect(page).toContain(`**${title}** (\`${id}\`)`)
  })

  it('shows both plots', () => {
    const files = Object.keys(PLOTS)
    expect(files).toHaveLength(2)
    expect(relativeLinks(page).map(({ path }) => path)).toEqual(expect.arrayContaining(files.map((file) => `docs/${file}`)))
    for (const file of files) expect(read(`docs/${file}`)).toMatch(/^<svg [\s\S]*prefers-color-scheme:dark[\s\S]*<\/svg>\n$/)
  })

  it('says that it is written by a command', () => {
    expect(page.indexOf(BEGIN)).toBeGreaterThan(0)
    expect(page.indexOf(END)).toBeGreaterThan(page.indexOf(BEGIN))
  })
})

describe('the rows of the benchmark', () => {
  it('have ids of their own', () => {
    const ids = [...rows, ...tables].map(({ id }) => id)
    expect(ids.length).toBeGreaterThan(30)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.filter((id) => !/^[a-z]+(-[a-z\d]+)*$/.test(id))).toEqual([])
  })
})

describe('the page of a run', () => {
  const row: Row = {
    id: 'open',
    what: 'openStream()',
    peer: 'by hand',
    unit: 'µs',
    goal: 1.25,
    kind: 'timed',
    measure: async () => ({ cost: 1 }),
  }
  const group = {
    title: 'Playbacks',
    about: 'What is measured.',
    rows: [row],
    tables: [{ id: 'crowd', title: 'A crowd', measure: async () => [] }],
  }
  const machine = { cpu: 'A processor', cores: 2, node: '24.0.0', date: '2026-01-31' }

  it('has the machine, the figures beside their goals, and the tables', () => {
    const result = { group, rows: [{ row, figure: { cost: 150, peer: 100 } }], tables: [[{ client: 'a|b', requests: 20_400 }]] }
    const text = generatedPart(machine, [result], { 'plot.svg': 'A plot' })
    expect(text).toContain('on 2026-01-31: A processor, 2 cores, Node.js 24.0.0')
    expect(text).toContain('![A plot](docs/plot.svg)')
    expect(text).toContain('## Playbacks\n\nWhat is measured.')
    expect(text).toContain('| open | openStream() | 150 µs | by hand: 100 µs | 1.5 × | ≤ 1.25 × | missed |')
    expect(text).toContain('**A crowd** (`crowd`)\n\n| client | requests |\n| --- | --- |\n| a\\|b | 20,400 |')
  })

  it('names the reason for a row that could not be measured', () => {
    const text = generatedPart(machine, [{ group, rows: [{ row, figure: undefined, failure: 'no redis-server' }], tables: [] }], {})
    expect(text).toContain('| open | openStream() | no redis-server | by hand | – | ≤ 1.25 × | not measured |')
  })

  it('says below the table why a goal is missed, and only while it is', () => {
    const known = { ...row, miss: { upTo: 1.5, because: 'Half of it is work.' } }
    const of = (cost: number) => generatedPart(machine, [{ group, rows: [{ row: known, figure: { cost, peer: 100 } }], tables: [] }], {})
    expect(of(150)).toContain('| missed, as known |\n\n- **open** is missed. Half of it is work.')
    expect(of(151)).toContain('| missed |\n\n- **open** is missed. Half of it is work.')
    expect(of(125)).not.toContain('Half of it')
  })

  it('replaces what was written before, and keeps the rest of the page', () => {
    const first = pageWith(`# Title\n${BEGIN}\n${END}\nThe end\n`, 'old')
    expect(pageWith(first, 'new')).toBe(`# Title\n${BEGIN}\n\nnew\n\n${END}\nThe end\n`)
    expect(() => pageWith('# Title\n', 'new')).toThrow(BEGIN)
  })
})

describe('a plot', () => {
  it('marks the powers of ten around its values', () => {
    expect(decades([3, 450])).toEqual([1, 10, 100, 1_000])
    expect(decades([1, 1])).toEqual([1, 10])
  })

  it('moves the names of lines apart that end at the same height', () => {
    expect(apart([100, 40, 100])).toEqual([100, 40, 116])
  })

  it('draws the lines from the left to the right and the larger values above, each with its name', () => {
    const lines = [{ name: 'ours & theirs', points: [[1, 1] as const, [100, 10] as const] }]
    const svg = svgOf({ title: 'A <title>', xLabel: 'engines', yLabel: 'time, µs', xTicks: [1, 10, 100], series: lines })
    expect(svg).toContain('<polyline class="line s0" points="64,344 530,48"/>')
    expect(svg).toContain('>ours &amp; theirs</text>')
    expect(svg).toContain('>engines</text>')
    expect(svg).toContain('>time, µs</text>')
    expect(svg).toContain('A &lt;title&gt;')
  })
})
