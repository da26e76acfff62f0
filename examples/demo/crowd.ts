import { setTimeout as sleep } from 'node:timers/promises'
import type { DemoArguments } from './arguments.ts'
import { crowdVerdict } from './crowd-verdict.ts'
import { FakeWorld } from './fake-world.ts'
import { keepOpen } from './keep.ts'
import { proxyEnvironment } from './proxy-environment.ts'
import { ProxyProcess } from './proxy-process.ts'
import type { Screen } from './screen.ts'
import { Viewer } from './viewer.ts'

const VIEWERS = 500
const CONTENTS = 5
const ENGINES = 5
/** Time in which they come. */
const CROWD_MS = 10_000
/** Longer than any viewer waits, so that none is refused. */
const PATIENCE_MS = 120_000
/** Time to watch after every viewer has had a response. */
const AFTERWARDS_MS = 1_000
const REDRAW_MS = 250

/** Lets 500 viewers of five contents come within 10 s. Returns whether every promise was kept. */
export async function crowd(options: DemoArguments, screen: Screen, interrupt: AbortSignal): Promise<boolean> {
  const { generation, apiKey, limit, checkedLimit, speed } = options
  const crowdMs = CROWD_MS / speed
  await using world = await FakeWorld.start({ generation, apiKey, engineCount: ENGINES, maxEngines: ENGINES })
  await using proxy = await ProxyProcess.start(proxyEnvironment(world, { limit, capacityTimeoutMs: PATIENCE_MS }))
  screen.print(`${VIEWERS} viewers of ${CONTENTS} contents within ${crowdMs / 1_000} s; ${ENGINES * limit} slots on ${ENGINES} engines`)
  screen.print(`${world.description}; the proxy is process ${proxy.pid} at ${proxy.url}`)
  screen.print(`its status page: ${proxy.url}/\n`)
  const startedAt = performance.now()
  const viewers: Viewer[] = []
  const show = async (): Promise<void> => {
    const engines = await world.engines()
    screen.show({ elapsedMs: performance.now() - startedAt, viewers, expectedViewers: VIEWERS, engines, limit })
  }
  const timer = setInterval(() => void show(), REDRAW_MS)
  try {
    for (let index = 0; index < VIEWERS; index += 1) {
      const at = startedAt + (index * crowdMs) / VIEWERS
      await sleep(Math.max(0, at - performance.now()), undefined, { signal: interrupt })
      viewers.push(new Viewer(proxy.url, (index % CONTENTS).toString(16).padStart(40, '0')))
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
  const { lines, isKept } = crowdVerdict({
    viewers,
    contents: CONTENTS,
    engines,
    limit: checkedLimit,
    inside: world.insideView(),
    proxy: exit,
    left: await world.liveStreams(),
  })
  if (!isKept) for (const warning of proxy.warnings.slice(0, 20)) screen.print(`proxy: ${warning}`)
  screen.print(`\n${lines.join('\n')}`)
  return isKept
}
