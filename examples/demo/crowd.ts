import type { DemoArguments } from './arguments.ts'
import { crowdVerdict } from './crowd-verdict.ts'
import { FakeWorld } from './fake-world.ts'
import { play } from './play.ts'
import { proxyEnvironment } from './proxy-environment.ts'
import { ProxyProcess } from './proxy-process.ts'
import { introduce, printVerdict, stopProxy } from './running-demo.ts'
import type { Screen } from './screen.ts'
import { evenly } from './trace.ts'

const VIEWERS = 500
const CONTENTS = 5
const ENGINES = 5
/** Time in which they come. */
const CROWD_MS = 10_000
/** Longer than any viewer waits, so that none is refused. */
const PATIENCE_MS = 120_000
/** Time to watch after every viewer has had a response. */
const AFTERWARDS_MS = 1_000

/** Lets 500 viewers of five contents come within 10 s. Returns whether every promise was kept. */
export async function crowd(options: DemoArguments, screen: Screen, interrupt: AbortSignal): Promise<boolean> {
  const { generation, apiKey, limit, checkedLimit, speed } = options
  const crowdMs = CROWD_MS / speed
  await using world = await FakeWorld.start({ generation, apiKey, engineCount: ENGINES, maxEngines: ENGINES })
  await using proxy = await ProxyProcess.start(proxyEnvironment(world, { limit, capacityTimeoutMs: PATIENCE_MS }))
  const demo = { options, world, proxy, screen, interrupt }
  introduce(demo, `${VIEWERS} viewers of ${CONTENTS} contents within ${crowdMs / 1_000} s; ${ENGINES * limit} slots on ${ENGINES} engines`)
  const replay = evenly({ viewers: VIEWERS, contents: CONTENTS, withinMs: crowdMs })
  const viewers = await play(demo, replay, { afterwardsMs: AFTERWARDS_MS })
  const engines = await world.engines()
  const exit = await stopProxy(demo, viewers)
  const verdict = crowdVerdict({
    viewers,
    contents: CONTENTS,
    engines,
    limit: checkedLimit,
    inside: world.insideView(),
    proxy: exit,
    left: await world.liveStreams(),
  })
  return printVerdict(demo, verdict)
}
