import { setTimeout as sleep } from 'node:timers/promises'
import type { DemoArguments } from './arguments.ts'
import { FakeWorld } from './fake-world.ts'
import { keepOpen } from './keep.ts'
import { proxyEnvironment } from './proxy-environment.ts'
import { ProxyProcess } from './proxy-process.ts'
import { rushVerdict } from './rush-verdict.ts'
import type { Screen } from './screen.ts'
import { Viewer } from './viewer.ts'

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
const REDRAW_MS = 250

/** Lets 100 viewers come within a second to six slots. Returns whether every promise was kept. */
export async function rush(options: DemoArguments, screen: Screen, interrupt: AbortSignal): Promise<boolean> {
  const { generation, apiKey, limit, checkedLimit, speed } = options
  const provisionMs = PROVISION_MS / speed
  await using world = await FakeWorld.start({ generation, apiKey, engineCount: ENGINES, maxEngines: MAX_ENGINES, provisionMs })
  await using proxy = await ProxyProcess.start(proxyEnvironment(world, { limit, capacityTimeoutMs: PATIENCE_MS / speed }))
  const room = `${ENGINES * limit} slots, ${provisionMs / 1_000} s for each further engine, at most ${MAX_ENGINES} engines`
  screen.print(`${VIEWERS} viewers within ${RUSH_MS / 1_000} s, each waits up to ${PATIENCE_MS / speed / 1_000} s; ${room}`)
  screen.print(`${world.description}; the proxy is process ${proxy.pid} at ${proxy.url}`)
  screen.print(`its status page: ${proxy.url}/\n`)
  const startedAt = performance.now()
  const viewers: Viewer[] = []
  const show = async (): Promise<void> => {
    const engines = await world.engines()
    screen.show({ elapsedMs: performance.now() - startedAt, viewers, expectedViewers: VIEWERS, engines, limit })
  }
  // Count the engines at the first refusal. Later engines could not have served that viewer.
  let engineCountAtRefusal: number | undefined
  const note = async ({ state }: Viewer): Promise<void> => {
    if (state === 'refused') engineCountAtRefusal ??= (await world.engines()).length
  }
  const timer = setInterval(() => void show(), REDRAW_MS)
  try {
    for (let index = 0; index < VIEWERS; index += 1) {
      const at = startedAt + (index * RUSH_MS) / VIEWERS
      await sleep(Math.max(0, at - performance.now()), undefined, { signal: interrupt })
      const viewer = new Viewer(proxy.url, index.toString(16).padStart(40, '0'))
      void viewer.answered.then(() => note(viewer))
      viewers.push(viewer)
    }
    await Promise.all(viewers.map((viewer) => viewer.answered))
    await sleep(AFTERWARDS_MS, undefined, { signal: interrupt })
    await show()
  } finally {
    clearInterval(timer)
  }
  const engines = await world.engines()
  for (const viewer of viewers) viewer.isOver = true
  await keepOpen(options, proxy, screen, interrupt)
  const exit = await proxy.stop()
  await Promise.all(viewers.map((viewer) => viewer.gone))
  const { lines, isKept } = rushVerdict({
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
  if (!isKept) for (const warning of proxy.warnings.slice(0, 20)) screen.print(`proxy: ${warning}`)
  screen.print(`\n${lines.join('\n')}`)
  return isKept
}
