import type { DemoArguments } from './arguments.ts'
import { FakeWorld } from './fake-world.ts'
import { play } from './play.ts'
import { proxyEnvironment } from './proxy-environment.ts'
import { ProxyProcess } from './proxy-process.ts'
import { introduce, printVerdict, stopProxy } from './running-demo.ts'
import { rushVerdict } from './rush-verdict.ts'
import type { Screen } from './screen.ts'
import { evenly } from './trace.ts'
import type { Viewer } from './viewer.ts'

/** Number of viewers within the first second. */
const VIEWERS = 100
const RUSH_MS = 1_000
const ENGINES = 3
const MAX_ENGINES = 10
/** Time until a new engine is listed, or is refused. */
const PROVISION_MS = 4_000
/** How long a viewer waits for a slot. */
const PATIENCE_MS = 30_000
/** Time to watch after every viewer has had a response. */
const AFTERWARDS_MS = 1_000

/** Lets 100 viewers come within a second to six slots. Returns whether every promise was kept. */
export async function rush(options: DemoArguments, screen: Screen, interrupt: AbortSignal): Promise<boolean> {
  const { generation, apiKey, limit, checkedLimit, speed } = options
  const provisionMs = PROVISION_MS / speed
  await using world = await FakeWorld.start({ generation, apiKey, engineCount: ENGINES, maxEngines: MAX_ENGINES, provisionMs })
  await using proxy = await ProxyProcess.start(proxyEnvironment(world, { limit, capacityTimeoutMs: PATIENCE_MS / speed }))
  const demo = { options, world, proxy, screen, interrupt }
  const room = `${ENGINES * limit} slots, ${provisionMs / 1_000} s for each further engine, at most ${MAX_ENGINES} engines`
  introduce(demo, `${VIEWERS} viewers within ${RUSH_MS / 1_000} s, each waits up to ${PATIENCE_MS / speed / 1_000} s; ${room}`)
  // Count the engines at the first refusal. Later engines could not have served that viewer.
  let engineCountAtRefusal: number | undefined
  const note = async ({ state }: Viewer): Promise<void> => {
    if (state === 'refused') engineCountAtRefusal ??= (await world.engines()).length
  }
  const replay = evenly({ viewers: VIEWERS, contents: VIEWERS, withinMs: RUSH_MS })
  const viewers = await play(demo, replay, { afterwardsMs: AFTERWARDS_MS, onAnswered: (viewer) => void note(viewer) })
  const engines = await world.engines()
  const exit = await stopProxy(demo, viewers)
  const verdict = rushVerdict({
    viewers,
    engines,
    firstEngineCount: ENGINES,
    engineCountAtRefusal: engineCountAtRefusal ?? engines.length,
    maxEngines: MAX_ENGINES,
    realLimit: limit,
    limit: checkedLimit,
    inside: world.insideView(),
    proxy: exit,
    left: await world.liveStreams(),
  })
  return printVerdict(demo, verdict)
}
