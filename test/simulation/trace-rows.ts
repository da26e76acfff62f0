import { readFileSync } from 'node:fs'

/** One event at the proxy or at the orchestrator. `t`: milliseconds since the proxy's first row. */
export interface Row {
  t: number
  event: string
  engine?: string
  content?: string
  by?: string
}

/** A viewer of the trace: arrival, content and departure. Times are milliseconds since the start of the trace. */
export interface TracedViewer {
  at: number
  content: string
  until: number
}

const ARRIVALS = new Set(['selected', 'at_capacity', 'viewer_rejected'])

/** A trace, in order of time. */
export const readTrace = (name: string): Row[] =>
  readFileSync(new URL(`../../examples/traces/${name}`, import.meta.url), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row)
    .toSorted((a, b) => a.t - b.t)

/** Each arrival is a viewer of the content that starts next, who stays until the next `stream_done` of that content, or to the end. */
export function viewersOf(rows: readonly Row[]): TracedViewer[] {
  const end = rows.at(-1)?.t ?? 0
  return rows.flatMap((row, index) => {
    if (!ARRIVALS.has(row.event)) return []
    const started = rows.slice(index).find(({ event }) => event === 'stream_started')
    const content = started?.content ?? `${index}`.padStart(40, 'f')
    const done = rows.find(({ t, event, content: which }) => event === 'stream_done' && which === content && t > row.t)
    return [{ at: row.t, content, until: done?.t ?? end }]
  })
}

/** The engines that the proxy selected for its viewers. */
export const enginesOf = (rows: readonly Row[]): Set<string> =>
  new Set(rows.flatMap(({ event, engine }) => (event === 'selected' && engine !== undefined ? [engine] : [])))
