import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { UsageError } from './arguments.ts'

/** A viewer of the trace. Times are milliseconds since the beginning of the demo. */
interface TracedViewer {
  number: number
  arrivesAt: number
  /** `undefined`: the viewer watches to the end. */
  leavesAt: number | undefined
  infohash: string
}

/** A trace as the demo replays it. */
export interface Replay {
  viewers: readonly TracedViewer[]
  /** Time of the last row. */
  durationMs: number
}

interface Row {
  t: number
  event: string
  content?: string
}

const ARRIVALS: readonly string[] = ['selected', 'at_capacity', 'viewer_rejected']
/** Longer gaps between two rows are cut to this length. Bursts, which caused the incident, keep their rhythm. */
const MAX_GAP_MS = 1_000

/** Viewers that come at even intervals to contents in turn, and stay. */
export function evenly({ viewers, contents, withinMs }: { viewers: number; contents: number; withinMs: number }): Replay {
  const traced = Array.from({ length: viewers }, (_, index) => ({
    number: index + 1,
    arrivesAt: (index * withinMs) / viewers,
    leavesAt: undefined,
    infohash: (index % contents).toString(16).padStart(40, '0'),
  }))
  return { viewers: traced, durationMs: withinMs }
}

/** Reads a trace file. @throws {@link UsageError} if the file is missing or is no trace */
export async function readTrace(file: string, speed: number): Promise<Replay> {
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new UsageError(`--trace: ${error.message}`)
  })
  const rows = text.split('\n').flatMap((line, index) => (line.trim() === '' ? [] : [toRow(line, `${file}:${index + 1}`)]))
  if (!rows.some(({ event }) => ARRIVALS.includes(event))) throw new UsageError(`--trace: no viewer arrives in ${file}`)
  return toReplay(rows, speed)
}

/**
 * Derives the viewers from the rows: when each one arrives, what it plays, and when it leaves.
 *
 * A viewer arrives with each selection of an engine, even if that found none. Its content is in a later row: starts are in the order of
 * the arrivals, so the n-th arrival is paired with the n-th start. It leaves with the next `stream_done` of its content after that start,
 * or stays to the end.
 */
export function toReplay(rows: readonly Row[], speed: number): Replay {
  const times = compress(rows, speed)
  const starts = rows.flatMap(({ event, content }, index) => (event === 'stream_started' && content ? [{ index, content }] : []))
  const viewers = rows
    .flatMap(({ event }, index) => (ARRIVALS.includes(event) ? [index] : []))
    .map((row, index): TracedViewer => {
      const start = starts[index]
      const content = start?.content ?? `viewer ${index + 1}`
      const done = start && rows.findIndex((later, at) => at > start.index && later.event === 'stream_done' && later.content === content)
      return {
        number: index + 1,
        arrivesAt: times[row] ?? 0,
        leavesAt: done === undefined || done < 0 ? undefined : times[done],
        infohash: toInfohash(content),
      }
    })
  return { viewers, durationMs: times.at(-1) ?? 0 }
}

/** Returns the content itself, or an infohash for a content that has none. Viewers of the same content get the same infohash. */
function toInfohash(content: string): string {
  return /^[0-9a-f]{40}$/.test(content) ? content : createHash('sha1').update(content).digest('hex')
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
    // The error below names the line.
  }
  throw new UsageError(`--trace: ${where} is not a row of a trace`)
}
