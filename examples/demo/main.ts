import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { type DemoArguments, readArguments, USAGE, UsageError } from './arguments.ts'
import { replayWithChaos } from './chaos.ts'
import { crowd } from './crowd.ts'
import { FakeWorld } from './fake-world.ts'
import { OtherStream } from './other-stream.ts'
import { play } from './play.ts'
import { proxyEnvironment } from './proxy-environment.ts'
import { ProxyProcess } from './proxy-process.ts'
import { RealWorld } from './real-world.ts'
import { introduce, printVerdict, stopProxy } from './running-demo.ts'
import { rush } from './rush.ts'
import { Screen } from './screen.ts'
import { type Replay, readTrace } from './trace.ts'
import { verdict } from './verdict.ts'
import type { World } from './world.ts'

const TRACE = fileURLToPath(new URL('../traces/proxy-2025-10-12.jsonl', import.meta.url))
/** Longer than any viewer of the trace waited, on the clock of the trace. */
const CAPACITY_TIMEOUT_MS = 5_000

process.exitCode = await main(process.argv.slice(2))

async function main(argv: readonly string[]): Promise<number> {
  try {
    const options = readArguments(argv, TRACE)
    if (options === undefined) {
      process.stdout.write(USAGE)
      return 0
    }
    if (options.isRush) return (await rush(options, new Screen(process.stdout), interrupted())) ? 0 : 1
    if (options.isCrowd) return (await crowd(options, new Screen(process.stdout), interrupted())) ? 0 : 1
    const replay = await readTrace(options.trace, options.speed)
    if (options.isChaos) return (await replayWithChaos(options, replay, new Screen(process.stdout), interrupted())) ? 0 : 1
    return (await run(options, replay, interrupted())) ? 0 : 1
  } catch (error) {
    if ((error as Error)?.name === 'AbortError') return 130
    if (!(error instanceof Error)) throw error
    process.stderr.write(`demo: ${error instanceof UsageError ? `${error.message}; see --help` : (error.stack ?? error.message)}\n`)
    return error instanceof UsageError ? 2 : 1
  }
}

/** Replays the trace. Returns whether every promise was kept. */
async function run(options: DemoArguments, replay: Replay, interrupt: AbortSignal): Promise<boolean> {
  const screen = new Screen(process.stdout)
  await using world = await openWorld(options)
  const before = new Set(await world.liveStreams())
  const firstEngineCount = (await world.engines()).length
  // `await using` ends both before the world, even after an error: a real orchestrator would keep their streams.
  await using otherStream = await OtherStream.start(world)
  await using proxy = await ProxyProcess.start(proxyEnvironment(world, { limit: options.limit, capacityTimeoutMs: CAPACITY_TIMEOUT_MS }))
  const demo = { options, world, proxy, screen, interrupt }
  introduce(demo, `${replay.viewers.length} viewers, ${options.limit} streams per engine, ${options.speed} times as fast as the trace`)
  const viewers = await play(demo, replay)
  const exit = await stopProxy(demo, viewers)
  const live = await world.liveStreams()
  const judged = verdict({
    viewers,
    engines: await world.engines(),
    firstEngineCount,
    limit: options.checkedLimit,
    inside: world.insideView(),
    proxy: exit,
    isOtherStreamAlive: live.includes(otherStream.streamId),
    left: live.filter((id) => id !== otherStream.streamId && !before.has(id)),
  })
  return printVerdict(demo, judged)
}

function interrupted(): AbortSignal {
  const interrupt = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupt.abort())
  return interrupt.signal
}

function openWorld({ url, apiKey, generation }: DemoArguments): Promise<World> {
  return url === undefined
    ? FakeWorld.start({ generation, apiKey })
    : RealWorld.connect({ url, apiKey: apiKey ?? 'testkey', engineHost: process.env['ACEXY_ENGINE_HOST']?.trim() || undefined })
}
