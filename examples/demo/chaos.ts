import { setTimeout as sleep } from 'node:timers/promises'
import type { DemoArguments } from './arguments.ts'
import { Chaos } from './chaos-faults.ts'
import { chaosVerdict } from './chaos-verdict.ts'
import { FakeWorld } from './fake-world.ts'
import { OtherStream } from './other-stream.ts'
import { play } from './play.ts'
import { proxyEnvironment } from './proxy-environment.ts'
import { ProxyProcess } from './proxy-process.ts'
import { introduce, printVerdict, stopProxy } from './running-demo.ts'
import type { Screen } from './screen.ts'
import type { Replay } from './trace.ts'
import type { Viewer } from './viewer.ts'

const CAPACITY_TIMEOUT_MS = 5_000
/** Time limit for the recovery after the last failure. */
const RECOVERY_MS = 30_000
const CHECK_EVERY_MS = 100

/** Replays a trace while the orchestrator fails in many ways. Returns whether every promise was kept. */
export async function replayWithChaos(options: DemoArguments, replay: Replay, screen: Screen, interrupt: AbortSignal): Promise<boolean> {
  const { generation, apiKey, limit, checkedLimit, speed, seed } = options
  await using world = await FakeWorld.start({ generation, apiKey, seed })
  await using otherStream = await OtherStream.start(world)
  await using proxy = await ProxyProcess.start(proxyEnvironment(world, { limit, capacityTimeoutMs: CAPACITY_TIMEOUT_MS }))
  const demo = { options, world, proxy, screen, interrupt }
  introduce(demo, `${replay.viewers.length} viewers, ${limit} streams per engine, ${speed} times as fast as the trace, seed ${seed}`)
  const chaos = new Chaos({ world, otherStream, proxy, screen, seed, interrupt })
  const meanwhile = (viewers: readonly Viewer[]): Promise<void> => chaos.run(viewers)
  const viewers = await play(demo, replay, { retries: true, meanwhile })
  chaos.stop()
  const isRecovered = async (): Promise<boolean> => {
    const { events } = await proxy.metrics()
    const watched = new Set(viewers.filter(({ state }) => state === 'watching').map(({ infohash }) => infohash))
    // One stream for each content, and the other proxy's.
    const streams = watched.size + 1
    return events.pending === 0 && viewers.every(({ isSatisfied }) => isSatisfied) && (await world.liveStreams()).length === streams
  }
  const recoveredAfterMs = await recovery(isRecovered, interrupt)
  const { events } = await proxy.metrics()
  const notWatching = viewers.filter(({ isSatisfied }) => !isSatisfied).length
  const exit = await stopProxy(demo, viewers)
  const live = await world.liveStreams()
  const verdict = chaosVerdict({
    viewers,
    limit: checkedLimit,
    inside: world.insideView(),
    proxy: exit,
    chaos: chaos.figures,
    recoveredAfterMs,
    pending: events.pending,
    notWatching,
    isOtherStreamAlive: live.includes(otherStream.streamId),
    left: live.filter((id) => id !== otherStream.streamId),
  })
  return printVerdict(demo, verdict)
}

/** Waits for the recovery. Returns its duration, or `undefined` if the time limit was reached. */
async function recovery(isRecovered: () => Promise<boolean>, signal: AbortSignal): Promise<number | undefined> {
  const startedAt = performance.now()
  while (performance.now() - startedAt < RECOVERY_MS) {
    if (await isRecovered()) return performance.now() - startedAt
    await sleep(CHECK_EVERY_MS, undefined, { signal })
  }
  return undefined
}
