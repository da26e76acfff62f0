import { setTimeout as sleep } from 'node:timers/promises'
import type { ProxyProcess } from './proxy-process.ts'
import type { Screen } from './screen.ts'
import type { Replay } from './trace.ts'
import { Viewer } from './viewer.ts'
import type { World } from './world.ts'

const REDRAW_MS = 250

/** The parts of a replay. */
export interface Play {
  replay: Replay
  world: World
  proxy: ProxyProcess
  screen: Screen
  limit: number
  interrupt: AbortSignal
  /** Whether viewers retry when they are refused or cut off. @default false */
  retries?: boolean
  /** Runs beside the replay, with the viewers so far. The replay waits for it. */
  meanwhile?: (viewers: readonly Viewer[]) => Promise<void>
}

/** Lets the viewers of a trace come and go. Viewers that stay to the end of the trace are still watching when this resolves. */
export async function play({
  replay,
  world,
  proxy,
  screen,
  limit,
  interrupt,
  retries = false,
  meanwhile,
}: Play): Promise<readonly Viewer[]> {
  const viewers: Viewer[] = []
  const startedAt = performance.now()
  const show = async (): Promise<void> => {
    const engines = await world.engines()
    screen.show({ elapsedMs: performance.now() - startedAt, viewers, expectedViewers: replay.viewers.length, engines, limit })
  }
  const waitUntil = (at: number): Promise<void> => sleep(Math.max(0, startedAt + at - performance.now()), undefined, { signal: interrupt })
  const timer = setInterval(() => void show(), REDRAW_MS)
  const visits = replay.viewers.map(async ({ arrivesAt, leavesAt, infohash }) => {
    await waitUntil(arrivesAt)
    const viewer = new Viewer(proxy.url, infohash, { retries })
    viewers.push(viewer)
    if (leavesAt === undefined) return viewer.answered
    await waitUntil(leavesAt)
    return viewer.leave()
  })
  await Promise.all([...visits, waitUntil(replay.durationMs), meanwhile?.(viewers)]).finally(() => clearInterval(timer))
  await show()
  return viewers
}
