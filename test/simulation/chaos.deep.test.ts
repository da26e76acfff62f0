import type { EngineLease, StreamHandle } from 'acestream-orchestrator-client'
import { type AppliedEvent, type FakeOrchestrator, type Fault, GENERATIONS, seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { playback, setup } from '../support/setup.ts'

const START = 'POST /events/stream_started'
const OTHERS = ['GET /engines', 'GET /streams', 'POST /events/stream_ended', 'GET /orchestrator/status']
const TICK_MS = 1_000
const FAILING = 0.3

/** The faults with their relative frequency. None of them refuses an event for ever. */
const FAULTS: readonly (Fault & { weight: number })[] = [
  { weight: 5, kind: 'refused' },
  { weight: 3, kind: 'reset' },
  { weight: 3, kind: 'reset-after' },
  { weight: 2, kind: 'lost-request' },
  { weight: 2, kind: 'lost-answer' },
  { weight: 2, kind: 'delay', delayMs: 5_000 },
  { weight: 2, kind: 'status', status: 500 },
  { weight: 1, kind: 'status', status: 502 },
  { weight: 1, kind: 'status', status: 503 },
  { weight: 1, kind: 'status', status: 503, headers: { 'Retry-After': '2' } },
  { weight: 1, kind: 'status', status: 429, headers: { 'Retry-After': '1' } },
  { weight: 1, kind: 'status', status: 504, applied: true },
  { weight: 1, kind: 'html' },
  { weight: 1, kind: 'redirect' },
  { weight: 1, kind: 'garbage' },
  { weight: 1, kind: 'truncated' },
  { weight: 1, kind: 'empty' },
  { weight: 0.2, kind: 'oversized' },
]
/** The orchestrator applies the request after the client's time-out, when the client may have verified already that it was not applied. */
const LATE = { weight: 2, kind: 'delay', delayMs: 7_000, applyLate: true } as const

interface Injected {
  hits(): number
  lateStarts(): number
}

/**
 * Injects all faults, so that three requests in ten fail. A request gets only the first fault that hits it. So the probability of each
 * fault is relative to the requests that earlier faults have not hit.
 */
function injectFaults(fake: FakeOrchestrator, withLate: boolean): Injected {
  const kinds: (Fault & { weight: number })[] = withLate ? [{ ...LATE, route: START }, { ...LATE, route: OTHERS }, ...FAULTS] : [...FAULTS]
  // The late fault is there twice, for two groups of routes.
  const isSecondLate = (fault: Fault) => fault.route === OTHERS
  const total = kinds.reduce((sum, fault) => sum + (isSecondLate(fault) ? 0 : fault.weight), 0)
  let remaining = 1
  const handles = kinds.map(({ weight, ...fault }) => {
    const share = (FAILING * weight) / total
    const probability = share / (isSecondLate(fault) ? 1 : remaining)
    if (!isSecondLate(fault)) remaining -= share
    return fake.inject({ ...fault, probability, times: Number.POSITIVE_INFINITY })
  })
  return {
    hits: () => handles.reduce((sum, { hits }) => sum + hits, 0),
    lateStarts: () => (withLate ? (handles[0]?.hits ?? 0) : 0),
  }
}

interface World {
  generation: (typeof GENERATIONS)[number]
  streams: number
  engines: number
  /** Time on the manual clock in which all streams arrive. */
  arrivalMs: number
  seed: number
  withLate: boolean
}

/** What happened to one stream at the orchestrator. */
interface Life {
  begins: AppliedEvent['kind']
  isLive: boolean
  lives: number
  repeats: number
  /** Ends that were sent for another stream of the same content. */
  endsOfSameContent: number
}

async function chaos({ generation, streams, engines, arrivalMs, seed, withLate }: World) {
  const random = seededRandom(seed)
  const limit = 8
  const { client, fake, clock } = setup(
    {
      generation,
      engines,
      maxReplicas: engines,
      random: seededRandom(seed + 1),
      latencyMs: () => 5 + Math.floor(random() * 4) * 20,
    },
    {
      maxStreamsPerEngine: limit,
      cacheTtlMs: 5_000,
      reconcileIntervalMs: 30_000,
      healthIntervalMs: 30_000,
      random: seededRandom(seed + 2),
    },
  )
  const innocents = fake.engines
    .filter((_, index) => index % 3 === 0)
    .map(({ containerId }) => fake.startElsewhere({ containerId, streamId: `innocent-${containerId}` }))

  const acknowledged = new Set<string>()
  client.on('stream:started', ({ streamId }) => acknowledged.add(streamId))
  const lives = new Map<string, Life>()
  let last: AppliedEvent | undefined
  const readLog = (): void => {
    const { log } = fake
    const from = last === undefined ? 0 : log.lastIndexOf(last) + 1
    for (const event of log.slice(from)) {
      last = event
      const life = lives.get(event.streamId) ?? { begins: event.kind, isLive: false, lives: 0, repeats: 0, endsOfSameContent: 0 }
      lives.set(event.streamId, life)
      if (event.kind === 'started' && life.isLive) life.repeats += 1
      else if (event.kind === 'started') life.lives += 1
      else if (event.requestedId !== event.streamId) life.endsOfSameContent += 1
      life.isLive = event.kind === 'started'
    }
  }

  // One timer for all viewers: they arrive and leave on its ticks.
  let tick = 0
  const sleepers = new Map<number, (() => void)[]>()
  const sleep = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const due = tick + Math.max(1, Math.ceil(ms / TICK_MS))
      const others = sleepers.get(due)
      if (others === undefined) sleepers.set(due, [resolve])
      else others.push(resolve)
    })
  const nextTick = async (): Promise<void> => {
    await clock.advance(TICK_MS)
    tick += 1
    for (const wake of sleepers.get(tick) ?? []) wake()
    sleepers.delete(tick)
    readLog()
  }

  const outcomes = { held: 0, refused: 0, delivered: 0, unknown: 0, 'not-announced': 0, other: 0 }
  const engineFor = async (): Promise<EngineLease> => {
    for (;;) {
      try {
        return await client.acquireEngine({ provision: false, waitMs: 10_000 })
      } catch {
        outcomes.refused += 1 // a host answers 503, and its viewer retries
        await sleep(1_000)
      }
    }
  }
  const live = async (index: number): Promise<void> => {
    await sleep(random() * arrivalMs)
    const lease = await engineFor()
    // Every fifth viewer watches content that others may watch too.
    const content = random() < 0.2 ? `shared${Math.floor(random() * 40)}` : `own${index}`
    const stream: StreamHandle = await lease.startStream(playback(content.padStart(40, '0'), `s${index}`))
    if (stream.state === 'announcing') outcomes.held += 1
    await sleep(10_000 - Math.log(1 - random()) * 30_000)
    const { outcome } = index % 7 === 0 ? await client.streamEnded(stream.id) : await stream.end()
    outcomes[outcome === 'delivered' || outcome === 'unknown' || outcome === 'not-announced' ? outcome : 'other'] += 1
  }

  const injected = injectFaults(fake, withLate)
  let isOver = false
  const all = Promise.all(Array.from({ length: streams }, (_, index) => live(index))).then(() => {
    isOver = true
  })
  let mostPending = 0
  let mostTimers = 0
  while (tick * TICK_MS < arrivalMs) {
    await nextTick()
    mostPending = Math.max(mostPending, client.metrics().events.pending)
    mostTimers = Math.max(mostTimers, clock.pendingCount)
  }
  const failing = { requests: fake.counters.requests.total, hits: injected.hits() }
  for (let ticks = 0; !isOver && ticks < 36_000; ticks += 1) await nextTick()
  fake.clearFaults()
  await all
  await clock.advance(180_000)
  readLog()
  const figures = { mostPending, mostTimers, tookMs: tick * TICK_MS, ...outcomes, lateStarts: injected.lateStarts(), ...failing }
  return { client, fake, clock, innocents, lives, acknowledged, limit, figures }
}

/** Checks that all our streams are over, that all other streams are live, and that the counters agree. Returns the lives of our streams. */
function expectAllOver(
  { client, fake, innocents, lives, acknowledged, figures }: Awaited<ReturnType<typeof chaos>>,
  streams: number,
): Life[] {
  if (process.env['SIMULATION_FIGURES']) {
    const { peakLoad, peakTotalLoad, ...rest } = fake.counters
    console.log(
      fake.generation,
      lives.size,
      Math.max(...Object.values(peakLoad)),
      Math.max(...Object.values(peakTotalLoad)),
      JSON.stringify({ figures, rest, metrics: client.metrics() }, null, 1),
    )
  }
  expect(fake.liveStreamIds().toSorted()).toEqual(innocents.toSorted())
  expect(client.metrics()).toMatchObject({
    streams: { live: 0 },
    leases: { active: 0, waiting: 0 },
    events: { pending: 0, misapplied: 0, undeliverable: 0 },
  })
  const { counters } = fake
  expect(counters.innocentsEnded).toBe(0)
  expect(counters.enginesInvented).toBe(0)
  // Each applied start that was no repetition began a life. One end ended it: its own, or on 2026-04 that of a stream of the same content.
  expect(counters.startsApplied - counters.repeatedStarts).toBe(counters.endsApplied + counters.namesakesEnded)
  if (fake.generation !== '2026-04') expect(counters.namesakesEnded).toBe(0)
  const own = [...lives].flatMap(([streamId, life]) => (streamId.startsWith('innocent-') ? [] : [life]))
  expect(own.every(({ begins }) => begins === 'started')).toBe(true)
  expect(own.some(({ isLive }) => isLive)).toBe(false)
  // The orchestrator knows each acknowledged stream. Only a stream that began and ended while no event arrived is unknown to it.
  expect([...acknowledged].filter((streamId) => !lives.has(streamId))).toEqual([])
  expect(own.length).toBeGreaterThanOrEqual(streams * 0.8)
  expect(own.length).toBeLessThanOrEqual(streams)
  expect(figures.delivered + figures.unknown + figures['not-announced']).toBe(streams)
  expect(own.reduce((sum, { repeats }) => sum + repeats, 0)).toBe(counters.repeatedStarts)
  const failed = figures.hits / figures.requests
  expect(failed).toBeGreaterThan(FAILING - 0.03)
  expect(failed).toBeLessThan(FAILING + 0.03)
  return own
}

describe.each(GENERATIONS)('a client whose requests fail in random ways, three in ten, with %s', (generation) => {
  it('[I3] [I4] [I5] [I7] starts and ends 10,000 streams: the orchestrator lists none of them in the end, and all others', async () => {
    const streams = 10_000
    const world = await chaos({ generation, streams, engines: 16, arrivalMs: 4_800_000, seed: 20_261_124, withLate: true })
    const own = expectAllOver(world, streams)
    // A start that is applied after its time-out may repeat a live stream, or revive one that is over: at most once for each late start.
    const { lateStarts } = world.figures
    expect(lateStarts).toBeGreaterThan(0)
    expect(world.fake.counters.repeatedStarts).toBeLessThanOrEqual(lateStarts)
    const more = own.reduce((sum, { lives, endsOfSameContent }) => sum + Math.max(0, lives - 1 - endsOfSameContent), 0)
    expect(more).toBeLessThanOrEqual(lateStarts)
    await world.client.close()
    expect(world.clock.pendingCount).toBe(0)
  })

  it('[I1] [I3] puts no engine over its limit and starts no stream twice, if no request is applied after its time-out', async () => {
    const streams = 2_000
    const world = await chaos({ generation, streams, engines: 11, arrivalMs: 960_000, seed: 20_261_125, withLate: false })
    const own = expectAllOver(world, streams)
    const { peakLoad, peakTotalLoad, repeatedStarts } = world.fake.counters
    for (const peak of Object.values(peakLoad)) expect(peak).toBeLessThanOrEqual(world.limit)
    for (const peak of Object.values(peakTotalLoad)) expect(peak).toBeLessThanOrEqual(world.limit)
    expect(Math.max(...Object.values(peakTotalLoad))).toBe(world.limit) // the engines were full at times
    expect(repeatedStarts).toBe(0)
    for (const { lives, endsOfSameContent } of own) expect(lives).toBeLessThanOrEqual(1 + endsOfSameContent)
  })
})
