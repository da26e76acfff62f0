import parse from 'parse-prometheus-text-format'
import { expect } from 'vitest'

/** A metric of a parsed exposition, as `prom2json` writes it. */
interface Family {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly metrics: readonly { readonly value?: string; readonly labels?: Labels }[]
}

type Labels = Readonly<Record<string, string>>

/** One line of an exposition. */
interface Series {
  readonly name: string
  readonly labels: Labels
  readonly value: number
}

/** Parses a text that Prometheus would scrape. */
export function parseExposition(text: string): readonly Family[] {
  return parse(text) as readonly Family[]
}

/** Parses the lines of an exposition, one by one. Without their types, because the parser drops the histograms that have labels. */
export function parseSeries(text: string): readonly Series[] {
  const untyped = text.split('\n').filter((line) => !line.startsWith('#'))
  return parseExposition(untyped.join('\n')).flatMap(({ name, metrics }) =>
    metrics.map(({ labels = {}, value }) => ({ name, labels, value: Number(value) })),
  )
}

/** The values of a series by their labels, written as `{"route":"GET /engines"}`. */
export function valuesOf(text: string, name: string): Readonly<Record<string, number>> {
  const found = parseSeries(text).filter((series) => series.name === name)
  return Object.fromEntries(found.map(({ labels, value }) => [JSON.stringify(labels), value]))
}

/** Checks what `promtool check metrics` checks, and that no series stands twice. */
export function expectWellFormed(text: string): void {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  const keys = parseSeries(text).map(({ name, labels }) => `${name} ${JSON.stringify(Object.entries(labels).sort())}`)
  expect(keys).toHaveLength(lines.length)
  expect(keys.filter((key, index) => keys.indexOf(key) !== index)).toEqual([])
  for (const { name, help, type } of parseExposition(text)) {
    expect(help, name).toMatch(/^[A-Z].{10,}\.$/)
    expect(['COUNTER', 'GAUGE', 'HISTOGRAM'], name).toContain(type)
    expect(name.endsWith('_total'), name).toBe(type === 'COUNTER')
    expect(name.endsWith('_seconds'), name).toBe(type === 'HISTOGRAM')
    expect(name, name).toMatch(/^[a-z][a-z_]*$/)
  }
}
