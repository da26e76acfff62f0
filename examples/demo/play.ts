import { setTimeout as sleep } from 'node:timers/promises'
import type { RunningDemo } from './running-demo.ts'
import type { Replay } from './trace.ts'
import { Viewer } from './viewer.ts'

const REDRAW_MS = 250

/** How {@link play} lets the viewers of a replay come and go. */
export interface PlayOptions {
  /** Whether viewers retry when they are refused or cut off. @default false */
  retries?: boolean
  /** Called when a viewer has had its first bytes, or will get none. */
  onAnswered?: (viewer: Viewer) => void
  /** Time to watch after the last viewer has had its response, milliseconds. @default 0 */
  afterwardsMs?: number
  /** Runs beside the replay, with the viewers so far. The replay waits for it. */
  meanwhile?: (viewers: readonly Viewer[]) => Promise<void>
}

/** Lets the viewers of a trace come and go. Viewers that stay to the end of the trace are still watching when this resolves. */
export async function play(
  { options, world, proxy, screen, interrupt }: RunningDemo,
  replay: Replay,
  how: PlayOptions = {},
): Promise<Viewer[]> {
  const { retries = false, onAnswered, afterwardsMs = 0, meanwhile } = how
  const viewers: Viewer[] = []
  const startedAt = performance.now()
  const show = async (): Promise<void> => {
    const engines = await world.engines()
    const elapsedMs = performance.now() - startedAt
    screen.show({ elapsedMs, viewers, expectedViewers: replay.viewers.length, engines, limit: options.limit })
  }
  const waitUntil = (at: number): Promise<void> => sleep(Math.max(0, startedAt + at - performance.now()), undefined, { signal: interrupt })
  const timer = setInterval(() => void show(), REDRAW_MS)
  const visits = replay.viewers.map(async ({ arrivesAt, leavesAt, infohash }) => {
    await waitUntil(arrivesAt)
    const viewer = new Viewer(proxy.url, infohash, { retries })
    viewers.push(viewer)
    if (onAnswered !== undefined) void viewer.answered.then(() => onAnswered(viewer))
    if (leavesAt === undefined) return viewer.answered
    await waitUntil(leavesAt)
    return viewer.leave()
  })
  try {
    await Promise.all([...visits, waitUntil(replay.durationMs), meanwhile?.(viewers)])
    if (afterwardsMs > 0) await sleep(afterwardsMs, undefined, { signal: interrupt })
  } finally {
    clearInterval(timer)
  }
  await show()
  return viewers
}
