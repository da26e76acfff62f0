import {
  MemoryStore,
  type OrchestratorClient,
  type OrchestratorClientOptions,
  type StreamHandle,
  type Transport,
  type TransportRequest,
  type TransportResponse,
} from 'acestream-orchestrator-client'
import {
  FakeOrchestrator,
  type Fault,
  GENERATIONS,
  type Generation,
  ManualClock,
  seededRandom,
} from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { connect, during, playback } from '../support/setup.ts'

const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000
const TICK_MS = 1_000
const BEFORE = 2_000
const DURING = 8_000
const ENGINES = 100
const LIMIT = 110

/** An attempt to tell of an event. */
interface Attempt {
  at: number
  isFirst: boolean
}

/** Watches what leaves the client. */
class Watched implements Transport {
  readonly attempts: Attempt[] = []
  readonly #clock: ManualClock
  readonly #inner: Transport
  readonly #seen = new Set<string>()
  readonly #failed = new Set<string>()
  /** When the 51st stream had failed. */
  manyAt: number | undefined

  constructor(clock: ManualClock, inner: Transport) {
    this.#clock = clock
    this.#inner = inner
  }

  async request(request: TransportRequest): Promise<TransportResponse> {
    if (request.method !== 'POST') return this.#inner.request(request)
    const { content_id: streamId } = JSON.parse(request.body ?? '{}') as { content_id: string }
    const event = `${request.url.pathname} ${streamId}`
    this.attempts.push({ at: this.#clock.now(), isFirst: !this.#seen.has(event) })
    this.#seen.add(event)
    let response: TransportResponse | undefined
    try {
      response = await this.#inner.request(request)
      return response
    } finally {
      if (response === undefined || response.status >= 400) this.#failed.add(streamId)
      if (this.#failed.size > 50) this.manyAt ??= this.#clock.now()
    }
  }

  /** Of those made from `from` to `to`. */
  between(from: number, to: number): { firsts: number; repeats: number } {
    const counts = { firsts: 0, repeats: 0 }
    for (const { at, isFirst } of this.attempts) if (at > from && at <= to) counts[isFirst ? 'firsts' : 'repeats'] += 1
    return counts
  }
}

interface Viewer {
  stream: StreamHandle
  leavesAt: number
}

/** 2,000 viewers before an outage, 8,000 more during it, most of whom leave while it lasts. */
class Evening {
  readonly clock = new ManualClock()
  readonly fake: FakeOrchestrator
  readonly store = new MemoryStore()
  readonly transport: Watched
  readonly client: OrchestratorClient
  readonly innocents: string[]
  readonly watching = new Set<Viewer>()
  readonly lost: string[] = []
  readonly ends = new Map<string, number>()
  arrived = 0
  slowestStartMs = 0
  mostPending = 0
  /** Beyond two for each event that waits: its own time, and until its next attempt. */
  sparestTimers = Number.NEGATIVE_INFINITY
  readonly #random: () => number
  /** As they were before the outage. */
  readonly #engines: FakeOrchestrator['engines']
  #comers = 0

  constructor(generation: Generation, seed: number, options: Partial<OrchestratorClientOptions>) {
    this.#random = seededRandom(seed)
    this.fake = new FakeOrchestrator({
      generation,
      engines: ENGINES,
      maxReplicas: ENGINES,
      clock: this.clock,
      random: seededRandom(seed + 1),
      latencyMs: 4,
    })
    this.transport = new Watched(this.clock, this.fake)
    this.client = connect(this.fake, this.clock, {
      maxStreamsPerEngine: LIMIT,
      staleIfErrorMs: 2 * HOUR_MS,
      reconcileIntervalMs: 30_000,
      healthIntervalMs: 30_000,
      random: seededRandom(seed + 2),
      store: this.store,
      transport: this.transport,
      ...options,
    })
    this.client.on('stream:lost', ({ streamId }) => this.lost.push(streamId))
    this.innocents = this.addInnocents()
    this.#engines = this.fake.engines
  }

  addInnocents(): string[] {
    return this.fake.engines.slice(0, 40).map(({ containerId }) => this.fake.startElsewhere({ containerId }))
  }

  /** Lets viewers come for so long, and those go whose time has come. */
  async pass(ms: number, { arrivals = 0, stayMs = () => 0 }: { arrivals?: number; stayMs?: () => number } = {}): Promise<void> {
    const ticks = Math.round(ms / TICK_MS)
    let due = 0
    for (let tick = 0; tick < ticks; tick += 1) {
      for (due += arrivals / ticks; due >= 0.999; due -= 1) void this.#arrive(stayMs())
      await this.clock.advance(TICK_MS)
      for (const viewer of this.watching) if (viewer.leavesAt <= this.clock.now()) this.#leave(viewer)
      this.#measure()
    }
  }

  /** Lets time pass in which nobody comes or goes. */
  async rest(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += TICK_MS) {
      await this.clock.advance(TICK_MS)
      this.#measure()
    }
  }

  /** Rests until all is told; answers how long that was. */
  async untilTold(): Promise<number> {
    const from = this.clock.now()
    while (this.client.metrics().events.pending > 0 && this.clock.now() < from + HOUR_MS) await this.rest(TICK_MS)
    return this.clock.now() - from
  }

  async leaveAll(): Promise<void> {
    for (const viewer of this.watching) this.#leave(viewer)
    await this.rest(MINUTE_MS)
  }

  resetPeaks(): void {
    this.slowestStartMs = 0
    this.mostPending = 0
    this.sparestTimers = Number.NEGATIVE_INFINITY
  }

  get peaks() {
    const { slowestStartMs, mostPending, sparestTimers } = this
    return { slowestStartMs, mostPending, sparestTimers }
  }

  #measure(): void {
    const { pending } = this.client.metrics().events
    this.mostPending = Math.max(this.mostPending, pending)
    this.sparestTimers = Math.max(this.sparestTimers, this.clock.pendingCount - 2 * pending)
  }

  #leave(viewer: Viewer): void {
    this.watching.delete(viewer)
    void viewer.stream.end('left').then(({ outcome }) => this.ends.set(outcome, (this.ends.get(outcome) ?? 0) + 1))
  }

  /** Some take a lease, others are on an engine already. */
  async #arrive(stayMs: number): Promise<void> {
    const index = ++this.#comers
    const start = playback(index.toString(16).padStart(40, '0'), `s${index}`)
    const leavesAt = this.clock.now() + stayMs
    const { client, clock } = this
    const lease = index % 2 === 0 ? await client.acquireEngine({ provision: false }) : undefined
    const from = clock.now()
    const { host, port, containerId } = this.#engines[index % ENGINES] ?? { host: '', port: 0, containerId: '' }
    const stream = await (lease === undefined
      ? client.streamStarted({ ...start, engine: { host, port, containerId } })
      : lease.startStream(start))
    this.slowestStartMs = Math.max(this.slowestStartMs, clock.now() - from)
    this.arrived += 1
    this.watching.add({ stream, leavesAt })
  }

  /** Half of those who are there before stay for hours, the others as long as anybody: a quarter of an hour. */
  async begin(): Promise<void> {
    await this.pass(2 * MINUTE_MS, { arrivals: BEFORE, stayMs: () => (this.#random() < 0.5 ? 6 * HOUR_MS : this.#aWhile()) })
    await this.pass(MINUTE_MS)
  }

  async goThrough(): Promise<void> {
    await this.pass(HOUR_MS, { arrivals: DURING, stayMs: () => this.#aWhile() })
  }

  #aWhile(): number {
    return 5 * MINUTE_MS - Math.log(1 - this.#random()) * 10 * MINUTE_MS
  }

  get watched(): string[] {
    return Array.from(this.watching, ({ stream }) => stream.id)
  }
}

const OUTAGES = {
  'connections are refused': { kind: 'refused' },
  'every answer is a 500': { kind: 'status', status: 500 },
  'nothing is ever answered': { kind: 'lost-request' },
} satisfies Record<string, Fault>

interface Case {
  generation: Generation
  outage: keyof typeof OUTAGES
  circuit: 'on' | 'off'
  maxPendingEvents: number
}

const cases: Case[] = [
  { generation: '2025-10', outage: 'connections are refused', circuit: 'on', maxPendingEvents: 100_000 },
  { generation: '2025-10', outage: 'every answer is a 500', circuit: 'off', maxPendingEvents: 100_000 },
  { generation: '2026-04', outage: 'connections are refused', circuit: 'off', maxPendingEvents: 100_000 },
  { generation: '2026-04', outage: 'every answer is a 500', circuit: 'on', maxPendingEvents: 500 },
  { generation: 'v1', outage: 'nothing is ever answered', circuit: 'on', maxPendingEvents: 100_000 },
  { generation: 'v1', outage: 'every answer is a 500', circuit: 'off', maxPendingEvents: 500 },
]

/** Attempts beyond the first, as a share of the first ones of the same minute, and one more each ten seconds. */
function expectWithinBudget(transport: Watched, from: number, until: number): void {
  for (let end = from; end <= until; end += TICK_MS) {
    const { firsts, repeats } = transport.between(Math.max(from, end - MINUTE_MS), end)
    if (repeats > 0) expect(repeats).toBeLessThanOrEqual(0.2 * firsts + 6)
  }
}

describe('an hour in which the orchestrator fails, and 10,000 viewers', () => {
  it.each(cases)(
    '[I4] [I5] [I7] loses nothing and starts no storm: $generation, $outage, circuit breaker $circuit, queue of $maxPendingEvents',
    async ({ generation, outage, circuit, maxPendingEvents }) => {
      const evening = new Evening(generation, 20_261_126, { maxPendingEvents, ...(circuit === 'off' && { circuitBreaker: false }) })
      const { client, clock, fake, transport, innocents } = evening
      await evening.begin()
      const known = new Set(fake.liveStreamIds())
      evening.resetPeaks()

      const from = clock.now()
      const failing = fake.inject({ ...OUTAGES[outage], times: Number.POSITIVE_INFINITY })
      await evening.goThrough()
      const until = clock.now()
      const spent = transport.between(from, until)
      // Every viewer had a handle at once: after its own attempt, or without one.
      expect(evening.arrived).toBe(BEFORE + DURING)
      expect(evening.slowestStartMs).toBeLessThanOrEqual(outage === 'nothing is ever answered' ? 3_000 : 10)
      expect(evening.mostPending).toBeGreaterThan(400)
      expect(evening.mostPending).toBeLessThanOrEqual(maxPendingEvents)
      // Bounded by those who are there: an end per engine and viewer gone since, a start for whoever watches.
      expect(evening.sparestTimers).toBeLessThanOrEqual(50)
      if (circuit === 'on') {
        expect(spent.firsts + spent.repeats).toBeLessThanOrEqual(20) // five failures open it, whoever else was on the way
      } else {
        expect(transport.manyAt).toBeLessThan(from + 5 * MINUTE_MS)
        expectWithinBudget(transport, (transport.manyAt ?? from) + 1, until)
        expect(spent.firsts).toBeGreaterThan(1_000)
      }

      failing.remove()
      evening.resetPeaks()
      const before = fake.counters
      const drainedMs = await evening.untilTold()
      const lists = (fake.counters.requests.byRoute['GET /engines'] ?? 0) - (before.requests.byRoute['GET /engines'] ?? 0)
      await evening.rest(5 * MINUTE_MS)
      if (process.env['SIMULATION_FIGURES'])
        console.log({ spent, drainedMs, lists, peaks: evening.peaks, ends: evening.ends, events: client.metrics().events })
      const live = evening.watched
      expect(fake.liveStreamIds().toSorted()).toEqual([...live, ...innocents].toSorted())
      // Told once each: those who watch. Of those who came and went meanwhile the orchestrator never hears.
      const unknownBefore = live.filter((streamId) => !known.has(streamId))
      expect(unknownBefore.length).toBeGreaterThan(1_000)
      expect(fake.counters.startsApplied).toBe(BEFORE + unknownBefore.length)
      expect(fake.counters.endsApplied).toBe(fake.counters.startsApplied - live.length)
      expect(fake.counters).toMatchObject({ repeatedStarts: 0, repeatedEnds: 0, innocentsEnded: 0, namesakesEnded: 0, enginesInvented: 0 })
      expect(evening.lost).toEqual([])
      expect(client.metrics()).toMatchObject({ streams: { live: live.length }, events: { pending: 0, misapplied: 0 }, circuit: 'closed' })

      await evening.leaveAll()
      expect(fake.liveStreamIds().toSorted()).toEqual(innocents.toSorted())
      expect(client.metrics()).toMatchObject({ streams: { live: 0 }, leases: { active: 0, waiting: 0 }, events: { pending: 0 } })
      expect(evening.store.usage().size).toBe(0)
      expect(fake.counters.innocentsEnded).toBe(0)
      await during(clock, client.close())
      expect(clock.pendingCount).toBe(0)
    },
  )

  it.each(GENERATIONS)(
    'hazard 9: after which every engine is another: all are told that they are lost, and none is announced, with %s',
    async (generation) => {
      const evening = new Evening(generation, 20_261_127, {})
      const { client, clock, fake } = evening
      await evening.begin()
      fake.restart({ downMs: HOUR_MS })
      const engines = new Set(fake.engines.map(({ containerId }) => containerId))
      fake.resetCounters()
      await evening.goThrough()
      const before = evening.watched
      const handles = Array.from(evening.watching, ({ stream }) => stream)
      const innocents = evening.addInnocents()
      await evening.untilTold()
      await evening.rest(2 * MINUTE_MS)
      expect(before.length).toBeGreaterThan(2_000)
      expect(evening.lost.toSorted()).toEqual(before.toSorted())
      for (const { lost, state } of handles) expect({ aborted: lost.aborted, state }).toEqual({ aborted: true, state: 'lost' })
      expect(fake.counters).toMatchObject({ startsApplied: 0, endsApplied: 0, innocentsEnded: 0, enginesInvented: 0 })
      expect(fake.liveStreamIds().toSorted()).toEqual(innocents.toSorted())
      expect(client.metrics()).toMatchObject({ streams: { live: 0 }, events: { pending: 0, misapplied: 0 } })
      expect(evening.store.usage().size).toBe(0)

      const lease = await during(clock, client.acquireEngine({ provision: false }))
      const stream = await during(clock, lease.startStream(playback('f'.repeat(40))))
      expect(engines.has(stream.engine.containerId ?? '')).toBe(true)
      await evening.rest(10_000)
      expect(fake.liveStreamIds()).toContain(stream.id)
      await during(clock, client.close())
      expect(clock.pendingCount).toBe(0)
    },
  )
})
