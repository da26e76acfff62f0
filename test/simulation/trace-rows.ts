import { readFileSync } from 'node:fs'

/** One thing that happened at the proxy, or at the orchestrator; `t` is milliseconds since the proxy's first row. */
export interface Row {
  t: number
  event: string
  engine?: string
  content?: string
  by?: string
}

/** Somebody who came, what for, and until when; milliseconds since the trace's beginning. */
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

/** Each arrival is a viewer of the content that starts next; it stays until that content's next `stream_done`, or to the end. */
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

/** The engines that viewers were sent to. */
export const enginesOf = (rows: readonly Row[]): Set<string> =>
  new Set(rows.flatMap(({ event, engine }) => (event === 'selected' && engine !== undefined ? [engine] : [])))
