import { beforeAll, describe, expect, it } from 'vitest'
import { type DemoOutput, runDemo } from '../../examples/telemetry/demo-run.ts'
import { outputOf, withOutput } from '../../examples/telemetry/page.ts'
import { EXPORTED_HISTOGRAMS, EXPORTED_METRICS } from '../../src/telemetry/exported-metrics.ts'
import { codeSpans, read } from './pages.ts'
import { type Row, tablesOf } from './tables.ts'

const PAGE = read('docs/telemetry.md')
const tables = tablesOf(PAGE)

function rowsOf(column: string): readonly Row[] {
  const found = tables.find(({ columns }) => columns[0] === column)
  if (found === undefined) throw new Error(`The page has no table of ${column}`)
  return found.rows
}

/** The text without its values: numbers, and what attributes are set to. */
const formOf = (text: string): string => text.replaceAll(/=(?!")\S+/g, '=').replaceAll(/(?<![\w"])\d[\d.e-]*(?![\w"])/g, '0')

describe('the page about telemetry', () => {
  let demo: DemoOutput
  beforeAll(async () => {
    demo = await runDemo()
  })

  it('has a row for each counter and gauge, with its type, unit, labels and meaning', () => {
    const written = rowsOf('metric').map((row) => ({
      name: codeSpans(row['metric'] ?? '')[0],
      kind: row['type'],
      unit: codeSpans(row['unit'] ?? '')[0],
      labels: codeSpans(row['labels'] ?? ''),
      help: row['meaning'],
    }))
    expect(written).toEqual(EXPORTED_METRICS.map(({ name, kind, unit, labels = [], help }) => ({ name, kind, unit, labels, help })))
  })

  it('has a row for each histogram, with its labels', () => {
    const written = rowsOf('OpenTelemetry').map((row) => [codeSpans(row['Prometheus'] ?? '')[0], codeSpans(row['labels'] ?? '')])
    const exported = Object.values(EXPORTED_HISTOGRAMS).map(({ name, labels }) => [
      `acestream_client_${name.replaceAll('.', '_')}_seconds`,
      labels,
    ])
    expect(written).toEqual(exported)
  })

  it('has a row for each span of the demo, with every attribute that it has there', () => {
    const rows = rowsOf('span')
    const names = rows.flatMap((row) => codeSpans(row['span'] ?? ''))
    const own = demo.spans.match(/^ *\d* ?(\w+(?:Engine|Stream))\b/gm)?.map((line) => line.replace(/^[ \d]*/, '')) ?? []
    expect(own.length).toBeGreaterThan(5)
    expect(own.filter((name) => !names.includes(name))).toEqual([])
    const described = new Set([...codeSpans(PAGE)])
    const attributes = [...demo.spans.matchAll(/(?<=\s)([a-z]+(?:\.[a-z_]+)+)=/g)].map(([, name = '']) => name)
    expect(attributes.length).toBeGreaterThan(30)
    expect([...new Set(attributes)].filter((name) => !described.has(name))).toEqual([])
  })

  it('shows the spans of the demo in the form in which the exporter gets them now', () => {
    expect(formOf(outputOf(PAGE).spans)).toBe(formOf(demo.spans))
    expect(demo.spans).toMatch(/startStream\n(?: {8}.*\n)+ {6}POST \/events\/stream_started CLIENT ERROR\n/)
  })

  it('shows the metrics of the demo in the form in which the exporter gets them now', () => {
    expect(formOf(outputOf(PAGE).metrics)).toBe(formOf(demo.metrics))
  })

  it('is renewed by npm run demo:telemetry -- --write, which changes nothing else', () => {
    const renewed = withOutput(PAGE, demo)
    expect(outputOf(renewed)).toEqual(demo)
    expect(withOutput(renewed, outputOf(PAGE))).toBe(PAGE)
  })
})
