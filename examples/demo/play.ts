import { setTimeout as sleep } from 'node:timers/promises'
import type { ProxyProcess } from './proxy-process.ts'
import type { Screen } from './screen.ts'
import type { Replay } from './trace.ts'
import { Viewer } from './viewer.ts'
import type { World } from './world.ts'

const REDRAW_MS = 250

/** What is played, and where. */
export interface Play {
  replay: Replay
  world: World
  proxy: ProxyProcess
  screen: Screen
  limit: number
  interrupt: AbortSignal
  /** Whether viewers come back when they are sent away or cut off. @default false */
  asksAgain?: boolean
  /** What else happens, told who has come so far; the play is not over before it is. */
  meanwhile?: (viewers: readonly Viewer[]) => Promise<void>
}

/** Has the viewers come and go. Those who stay to the end are still there when this resolves. */
export async function play({
  replay,
  world,
  proxy,
  screen,
  limit,
  interrupt,
  asksAgain = false,
  meanwhile,
}: Play): Promise<readonly Viewer[]> {
  const viewers: Viewer[] = []
  const startedAt = performance.now()
  const show = async (): Promise<void> => {
    const engines = await world.engines()
    screen.show({ elapsedMs: performance.now() - startedAt, viewers, expectedViewers: replay.viewers.length, engines, limit })
  }
  const until = (at: number): Promise<void> => sleep(Math.max(0, startedAt + at - performance.now()), undefined, { signal: interrupt })
  const timer = setInterval(() => void show(), REDRAW_MS)
  const visits = replay.viewers.map(async ({ arrivesAt, leavesAt, infohash }) => {
    await until(arrivesAt)
    const viewer = new Viewer(proxy.url, infohash, { asksAgain })
    viewers.push(viewer)
    if (leavesAt === undefined) return viewer.answered
    await until(leavesAt)
    return viewer.leave()
  })
  await Promise.all([...visits, until(replay.durationMs), meanwhile?.(viewers)]).finally(() => clearInterval(timer))
  await show()
  return viewers
}
