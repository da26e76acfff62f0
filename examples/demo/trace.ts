import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { UsageError } from './arguments.ts'

/** A viewer of the trace, on the demo's clock: milliseconds since its beginning. */
interface TracedViewer {
  number: number
  arrivesAt: number
  /** `undefined`: watches to the end. */
  leavesAt: number | undefined
  infohash: string
}

/** A trace, ready to be replayed. */
export interface Replay {
  viewers: readonly TracedViewer[]
  /** When its last row happens. */
  durationMs: number
}

interface Row {
  t: number
  event: string
  content?: string
}

const ARRIVALS: readonly string[] = ['selected', 'at_capacity', 'viewer_rejected']
/** Longer gaps between two rows are cut to this. Bursts, which are what the incident is about, keep their rhythm. */
const MAX_GAP_MS = 1_000

/** Reads a trace. */
export async function readTrace(file: string, speed: number): Promise<Replay> {
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new UsageError(`--trace: ${error.message}`)
  })
  const rows = text.split('\n').flatMap((line, index) => (line.trim() === '' ? [] : [toRow(line, `${file}:${index + 1}`)]))
  if (!rows.some(({ event }) => ARRIVALS.includes(event))) throw new UsageError(`--trace: no viewer arrives in ${file}`)
  return toReplay(rows, speed)
}

/**
 * Who arrives when, for what, and until when.
 *
 * A viewer arrives with each selection (or where one found no engine). What it came for stands in a later row: the starts come in the
 * order of the arrivals, so the n-th arrival is paired with the n-th start. It leaves with the next `stream_done` of its content after
 * that start, or stays to the end.
 */
export function toReplay(rows: readonly Row[], speed: number): Replay {
  const times = compress(rows, speed)
  const starts = rows.flatMap(({ event, content }, index) => (event === 'stream_started' && content ? [{ index, content }] : []))
  const viewings = new Map<string, number>()
  const viewers = rows
    .flatMap(({ event }, index) => (ARRIVALS.includes(event) ? [index] : []))
    .map((row, index): TracedViewer => {
      const start = starts[index]
      const content = start?.content ?? `viewer ${index + 1}`
      const done = start && rows.findIndex((later, at) => at > start.index && later.event === 'stream_done' && later.content === content)
      const viewing = (viewings.get(content) ?? 0) + 1
      viewings.set(content, viewing)
      return {
        number: index + 1,
        arrivesAt: times[row] ?? 0,
        leavesAt: done === undefined || done < 0 ? undefined : times[done],
        infohash: toInfohash(content, viewing),
      }
    })
  return { viewers, durationMs: times.at(-1) ?? 0 }
}

/**
 * Each viewer plays a content of its own: the 2026-04 generation ends all streams of a content with one of them, whoever
 * asked, and that is another story than the one told here. So a content's second viewing gets another hash.
 */
function toInfohash(content: string, viewing: number): string {
  if (viewing === 1 && /^[0-9a-f]{40}$/.test(content)) return content
  return createHash('sha1').update(`${content} ${viewing}`).digest('hex')
}

function compress(rows: readonly Row[], speed: number): number[] {
  let now = 0
  return rows.map(({ t }, index) => {
    const before = rows[index - 1]
    if (before !== undefined) now += Math.min(Math.max(0, t - before.t), MAX_GAP_MS) / speed
    return now
  })
}

function toRow(line: string, where: string): Row {
  try {
    const row: Partial<Row> = JSON.parse(line)
    if (typeof row.t === 'number' && typeof row.event === 'string') return row as Row
  } catch {
    // Told below, with the line's number.
  }
  throw new UsageError(`--trace: ${where} is no row of a trace`)
}
