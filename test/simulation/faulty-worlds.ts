import type { EngineLease, OrchestratorClient, StreamHandle } from 'acestream-orchestrator-client'
import { FAULT_KINDS, FakeOrchestrator, type Fault, GENERATIONS, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import fc from 'fast-check'
import { expect } from 'vitest'
import { during, playback } from '../support/setup.ts'

const ROUTES = ['GET /engines', 'GET /streams', 'POST /events/stream_started', 'POST /events/stream_ended', 'GET /orchestrator/status']
const STATUSES = [500, 502, 503, 429, 504, 408]
const MINUTE_MS = 60_000

/** Something that a host, the network or the orchestrator does. */
type Action =
  | { do: 'start'; viewer: number; withoutLease: boolean; leavesAfterMs: number | undefined }
  | { do: 'end' | 'endById' | 'endTwice' | 'endAsElsewhere'; viewer: number }
  | { do: 'hold'; forMs: number }
  | { do: 'advance'; ms: number }
  | { do: 'fault'; fault: Fault }
  | { do: 'clearFaults' | 'reconcile' | 'flush' | 'addEngine' }
  | { do: 'restart'; downMs: number }
  | { do: 'removeEngine' | 'drainEngine'; index: number }

const viewer = fc.nat({ max: 7 })
const fault: fc.Arbitrary<Fault> = fc
  .record({
    kind: fc.constantFrom(...FAULT_KINDS.filter((kind) => kind !== 'oversized')),
    route: fc.option(fc.constantFrom(...ROUTES), { nil: undefined }),
    status: fc.constantFrom(...STATUSES),
    delayMs: fc.constantFrom(500, 3_500, 8_000),
    applyLate: fc.boolean(),
    times: fc.constantFrom(1, 1, 2, 5, 20, Number.POSITIVE_INFINITY),
    retryAfter: fc.constantFrom(undefined, '2', '40'),
  })
  .map(({ kind, route, status, delayMs, applyLate, times, retryAfter }) => ({
    kind,
    times,
    ...(route !== undefined && { route }),
    ...(kind === 'status' && { status, ...(retryAfter !== undefined && { headers: { 'Retry-After': retryAfter } }) }),
    ...(kind === 'delay' && { delayMs, applyLate }),
  }))

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('start' as const),
      viewer,
      withoutLease: fc.boolean(),
      leavesAfterMs: fc.constantFrom(undefined, undefined, undefined, 0, 5, 1_000, 4_000),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constantFrom('end', 'endById', 'endTwice', 'endAsElsewhere'), viewer }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('hold' as const), forMs: fc.constantFrom(100, 2_500) }) },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(0, 1, 10, 200, 1_500, 4_000, 12_000, 45_000) }),
  },
  { weight: 6, arbitrary: fault.map((injected): Action => ({ do: 'fault', fault: injected })) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('clearFaults', 'reconcile', 'flush', 'addEngine') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const), downMs: fc.constantFrom(0, 3_000, 20_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('removeEngine', 'drainEngine'), index: fc.nat({ max: 2 }) }) },
)

const world = fc.record({
  generation: fc.constantFrom(...GENERATIONS),
  engines: fc.integer({ min: 2, max: 3 }),
  limit: fc.integer({ min: 1, max: 2 }),
  seed: fc.integer({ min: 1, max: 1_000_000 }),
  slowest: fc.constantFrom(0, 0, 30, 900),
  /** For each viewer: the content, and whether it uses the shared stream id. Some viewers share one or both. */
  contents: fc.array(fc.constantFrom('a', 'b', 'own'), { minLength: 8, maxLength: 8 }),
  sharesId: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
  circuit: fc.boolean(),
  maxPendingEvents: fc.constantFrom(2, 100_000),
  actions: fc.array(action, { minLength: 1, maxLength: 40 }),
})

type World = typeof world extends fc.Arbitrary<infer T> ? T : never

async function live(plan: World): Promise<void> {
  const { generation, engines, limit, seed, slowest, contents, sharesId, circuit, maxPendingEvents, actions } = plan
  const clock = new ManualClock()
  const random = seededRandom(seed)
  const fake = new FakeOrchestrator({
    generation,
    engines,
    maxReplicas: 8,
    clock,
    random,
    latencyMs: () => Math.floor(random() * slowest),
  })
  const { OrchestratorClient: Client } = await import('acestream-orchestrator-client')
  const client: OrchestratorClient = new Client({
    baseUrl: 'http://orchestrator.test',
    apiKey: fake.apiKey,
    clock,
    transport: fake,
    random,
    maxStreamsPerEngine: limit,
    cacheTtlMs: 500,
    leaseTtlMs: 5_000,
    maxPendingEvents,
    ...(!circuit && { circuitBreaker: false as const }),
  })
  let innocents = new Set<string>()
  const innocent = (): void => {
    // One stream of another proxy on each engine, if that leaves room for one of ours.
    if (limit > 1) for (const { containerId } of fake.engines) innocents.add(fake.startElsewhere({ containerId }))
  }
  innocent()
  // Viewers with the shared id also have the same content: it is one playback.
  const idOf = (index: number): string => (sharesId[index] ? 'shared' : `stream-${index}`)
  const contentOf = (index: number): string => (sharesId[index] ? 'a' : (contents[index] ?? 'own'))
  const startOf = (index: number) => {
    const content = contentOf(index)
    return { ...playback((content === 'own' ? `0${index}` : content).padEnd(40, '0'), `s${index}`), streamId: idOf(index) }
  }

  /** The latest stream of each viewer. */
  const handles: (StreamHandle | undefined)[] = []
  const everHeld = new Set<StreamHandle>()
  const leases: EngineLease[] = []
  const work: Promise<unknown>[] = []
  const ended: string[] = []
  /** Whether a request may be applied late, or engines were lost. Then the client cannot prevent an exceeded limit or a repeated start. */
  let mayExceed = false
  let mostInnocentsEnded = 0

  const start = async (index: number, withoutLease: boolean, signal: AbortSignal | undefined): Promise<void> => {
    const options = signal === undefined ? {} : { signal }
    try {
      const lease = await client.acquireEngine({ provision: false, waitMs: 2_000, ...options })
      leases.push(lease)
      if (withoutLease) {
        // A start on the same engine without a lease: it takes a slot even if the engine is full.
        const { host, port, containerId } = lease.engine
        await lease.release()
        mayExceed = true
        handles[index] = await client.streamStarted({ ...startOf(index), engine: { host, port, containerId } }, options)
      } else {
        handles[index] = await lease.startStream(startOf(index), options)
      }
      everHeld.add(handles[index])
    } catch (error) {
      if (signal?.aborted !== true && !(error instanceof Error)) throw error
    } finally {
      await leases.at(-1)?.release()
    }
  }

  for (const step of actions) {
    switch (step.do) {
      case 'start': {
        const gone = step.leavesAfterMs === undefined ? undefined : new AbortController()
        if (gone !== undefined) clock.setTimeout(() => gone.abort('left'), step.leavesAfterMs ?? 0)
        work.push(start(step.viewer, step.withoutLease, gone?.signal))
        break
      }
      case 'end':
        work.push(handles[step.viewer]?.end() ?? Promise.resolve())
        break
      case 'endTwice':
        work.push(handles[step.viewer]?.end() ?? Promise.resolve(), handles[step.viewer]?.end() ?? Promise.resolve())
        break
      case 'endById':
        ended.push(idOf(step.viewer))
        work.push(client.streamEnded(idOf(step.viewer)))
        break
      case 'endAsElsewhere':
        fake.endElsewhere(idOf(step.viewer)) // the orchestrator loses the stream
        mayExceed = true
        for (const id of innocents) if (!fake.liveStreamIds().includes(id)) innocents.delete(id)
        break
      case 'hold':
        work.push(
          client.acquireEngine({ provision: false, waitMs: 0 }).then(
            (lease) => void clock.setTimeout(() => void lease.release(), step.forMs),
            () => {},
          ),
        )
        break
      case 'advance':
        await clock.advance(step.ms)
        break
      case 'fault':
        if (step.fault.kind === 'delay' && step.fault.applyLate === true) mayExceed = true
        fake.inject(step.fault)
        break
      case 'clearFaults':
        fake.clearFaults()
        break
      case 'reconcile':
        work.push(client.reconcile().catch((error: unknown) => expect(error).toBeInstanceOf(Error)))
        break
      case 'flush':
        work.push(client.flush())
        break
      case 'addEngine':
        fake.addEngine()
        break
      case 'restart':
        fake.restart({ downMs: step.downMs })
        innocents = new Set()
        mayExceed = true
        innocent()
        break
      case 'removeEngine':
      case 'drainEngine': {
        const engine = fake.engines[step.index]
        if (engine === undefined || fake.engines.length < 2) break
        // Streams of other proxies would end with this engine, or would move and overload another one. So end them first.
        for (const id of fake.liveStreamIds(engine.containerId)) if (innocents.delete(id)) fake.endElsewhere(id)
        if (step.do === 'removeEngine') fake.removeEngine(engine.containerId)
        else fake.drainEngine(engine.containerId, 8_000)
        mayExceed = true
        break
      }
    }
    mostInnocentsEnded = Math.max(mostInnocentsEnded, fake.counters.innocentsEnded)
  }

  fake.clearFaults()
  await clock.advance(5 * MINUTE_MS)
  // The client and the orchestrator list the same live streams.
  const liveAtClient = [...everHeld].filter(({ state }) => state === 'live' || state === 'announcing').map(({ id }) => id)
  expect(client.metrics().events).toMatchObject({ pending: 0, misapplied: 0 })
  expect(client.metrics().streams.live).toBe(liveAtClient.length)
  expect(fake.liveStreamIds().toSorted()).toEqual([...liveAtClient, ...innocents].toSorted())

  for (const handle of everHeld) work.push(handle.end())
  await clock.advance(5 * MINUTE_MS)
  await Promise.all(work)
  expect(mostInnocentsEnded).toBe(0)
  expect(fake.counters.innocentsEnded).toBe(0)
  expect(fake.liveStreamIds().toSorted()).toEqual([...innocents].toSorted())
  expect(client.metrics()).toMatchObject({
    streams: { live: 0 },
    leases: { active: 0, waiting: 0 },
    events: { pending: 0, misapplied: 0 },
  })
  if (!mayExceed) {
    for (const peak of Object.values(fake.counters.peakTotalLoad)) expect(peak).toBeLessThanOrEqual(limit)
    expect(fake.counters.repeatedStarts).toBe(0)
  }
  // The orchestrator applied no end to a stream that was not live.
  const isLive = new Set<string>()
  for (const { kind, streamId } of fake.log) {
    if (kind === 'ended') expect(isLive.delete(streamId)).toBe(true)
    else isLive.add(streamId)
  }

  // All slots are free again: the client grants as many leases as the engines have room for.
  const listed = await during(clock, client.listEngines({ fresh: true }))
  const free = listed.reduce((sum, { streamIds, draining }) => sum + (draining ? 0 : Math.max(0, limit - streamIds.length)), 0)
  const acquiring = Array.from({ length: free }, () => client.acquireEngine({ provision: false, waitMs: 0 }))
  for (const lease of await during(clock, Promise.all(acquiring))) await lease.release()

  await during(clock, client.close())
  await clock.advance(30_000) // for the timers of the fake orchestrator
  expect(clock.pendingCount).toBe(0)
}

/** Runs this many random worlds. `SIMULATION_RUNS` and `SIMULATION_SEED` in the environment replace the number and the seed. */
export async function checkFaultyWorlds(runs: number): Promise<void> {
  const rejections: unknown[] = []
  const note = (reason: unknown): void => void rejections.push(reason)
  process.on('unhandledRejection', note)
  const { SIMULATION_RUNS = runs, SIMULATION_SEED = '20261128' } = process.env
  try {
    await fc.assert(fc.asyncProperty(world, live), { numRuns: Number(SIMULATION_RUNS), seed: Number(SIMULATION_SEED), endOnFailure: false })
    expect(rejections).toEqual([])
  } finally {
    process.off('unhandledRejection', note)
  }
}
