import { OrchestratorClient, type Transport } from 'acestream-orchestrator-client'
import { FakeOrchestrator, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { CountedClock } from '../support/counted-clock.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { type Owner, SharingHost } from './sharing-host.ts'
import { type Disturbance, type Moment, OPEN_TIMEOUT_MS, type Point, type Viewer, type World } from './sharing-plan.ts'
import { WatchedStore } from './sharing-store.ts'

/** One client of a world. */
export interface WorldClient {
  readonly client: OrchestratorClient
  readonly clock: CountedClock
  /** Viewers of each stream by the events of the client, by stream id. */
  readonly viewerCounts: Map<string, number>
  joinedCount: number
  isClosing: boolean
  isClosed: boolean
  /** When the time of its close() is over, milliseconds. */
  closesAt: number
}

const STORE_TURNS = { own: 0, 'at once': 0, later: 1, 'much later': 3 }
/** Turns of the event loop in which a store has answered all calls of one moment, for each turn of one call. */
const CALLS_AT_ONCE = 15
const DIGITS = ['a', 'b', 'c', 'd', 'e']

/** The key of a content, as a viewer writes it. */
export function keyOf({ content, inCapitals }: Pick<Viewer, 'content' | 'inCapitals'>): string {
  const key = (DIGITS[content] ?? '').repeat(40)
  return inCapitals ? key.toUpperCase() : key
}

/** The orchestrator, the engines, the store and the clients of one run, and the checks that hold at any time. */
export class SharingWorld {
  readonly plan: World
  readonly clock = new ManualClock()
  readonly clients: WorldClient[] = []
  readonly host: SharingHost
  readonly fake: FakeOrchestrator
  readonly stored: WatchedStore | undefined
  readonly logger = new RecordingLogger()
  readonly problems: string[] = []
  /** The calls that have not settled. */
  readonly pending = new Set<string>()
  /** Leases that callers of `acquireEngine` hold. */
  heldLeases = 0
  /** Callers that do not wait, that may get a new engine, or that do not want every engine: they need no lingering stream to end. */
  undemandingCount = 0
  /** Whether nothing fails in this world. */
  readonly isCalm: boolean
  readonly #begunAt = this.clock.now()
  readonly #owners = new Map<string, Owner>()
  readonly #awaited: { readonly moment: Moment; readonly content: number | undefined; readonly from: number; readonly act: () => void }[] =
    []

  constructor(plan: World) {
    this.plan = plan
    this.isCalm =
      plan.disturbances.length === 0 &&
      plan.opens.every(({ how, delayMs }) => how === 'works' && delayMs < OPEN_TIMEOUT_MS) &&
      plan.closing === undefined
    const { clock } = this
    const random = seededRandom(plan.seed)
    this.fake = new FakeOrchestrator({
      ...{ generation: plan.generation, engines: plan.engines, clock, random, maxReplicas: plan.engines + 1 },
      latencyMs: () => Math.floor(random() * plan.slowestMs),
    })
    this.host = new SharingHost({
      ...{ clock, opens: plan.opens, closes: plan.closes },
      isClosed: (index) => this.#holdsNothing(index),
      at: (point, owner) => this.#at(point, owner.content),
      report: (problem) => this.report(problem),
    })
    this.stored = plan.store === 'own' ? undefined : new WatchedStore(STORE_TURNS[plan.store], () => this.#checkSlots())
    const count = this.stored === undefined ? 1 : plan.clients
    for (let index = 0; index < count; index += 1) this.#addClient(index, random)
  }

  report(problem: string): void {
    if (this.problems.length < 10) this.problems.push(`${this.sinceBegin} ms: ${problem}`)
  }

  get sinceBegin(): number {
    return this.clock.now() - this.#begunAt
  }

  get isAnyClosing(): boolean {
    return this.clients.some(({ isClosing }) => isClosing)
  }

  clientOf({ client }: Viewer): { readonly index: number; readonly own: WorldClient } {
    const index = client % this.clients.length
    return { index, own: this.clients[index] as WorldClient }
  }

  ownerOf(viewer: Viewer): Owner {
    const { content, variant, call } = viewer
    const { index } = this.clientOf(viewer)
    const id = JSON.stringify([index, content, variant, call])
    const owner = this.#owners.get(id) ?? { client: index, content, variant, isShared: call === 'join' }
    this.#owners.set(id, owner)
    return owner
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.setTimeout(resolve, ms))
  }

  /** Calls `act` at a moment. @param content of any content, if `undefined` */
  when(moment: Moment, content: number | undefined, act: () => void): void {
    if (moment.point === 'time') this.clock.setTimeout(() => void actAfter(moment.microtasks, act), moment.afterMs)
    else this.#awaited.push({ moment, content, from: this.clock.now() + moment.afterMs, act })
  }

  disturb(what: Disturbance): void {
    const { fake, stored, clock } = this
    const { client, isClosing } = this.clients[0] as WorldClient
    const engine = 'index' in what && fake.engines.length > 1 ? fake.engines[what.index] : undefined
    if (what.kind === 'fault') fake.inject(what.fault)
    if (what.kind === 'restart') fake.restart({ downMs: what.downMs })
    if (what.kind === 'addEngine') fake.addEngine()
    if (what.kind === 'refuse') fake.setProvisioning({ refuse: 'general_error' })
    if (what.kind === 'clearFaults') fake.clearFaults()
    if (what.kind === 'flush' || what.kind === 'reconcile') client[what.kind]().catch(() => {})
    if (what.kind === 'sweep' && !isClosing) client.sweep()
    if (engine !== undefined && what.kind === 'removeEngine') fake.removeEngine(engine.containerId)
    if (engine !== undefined && what.kind === 'drainEngine') fake.drainEngine(engine.containerId)
    if (what.kind === 'store away' && stored !== undefined) {
      stored.isAway = true
      clock.setTimeout(() => {
        stored.isAway = false
      }, what.forMs)
    }
  }

  close(own: WorldClient, timeoutMs: number): void {
    if (own.isClosing) return
    own.isClosing = true
    own.closesAt = this.clock.now() + timeoutMs
    this.pending.add('close()')
    void own.client.close({ timeoutMs }).then(() => {
      own.isClosed = true
      this.pending.delete('close()')
    })
  }

  /** Waits until the store has answered all calls of this moment. */
  async rest(): Promise<void> {
    const rests = STORE_TURNS[this.plan.store] * CALLS_AT_ONCE
    for (let rest = 0; rest < rests; rest += 1) await this.clock.settle()
  }

  /** Waits until all promises that can settle have settled, and checks what holds at any time. */
  async check(): Promise<void> {
    await this.rest()
    this.#checkSlots()
    this.#checkLeases()
    this.#checkYielding()
    for (const { isClosed, clock } of this.clients) {
      for (const { delayMs } of isClosed ? clock.armed : []) this.report(`a timer of ${delayMs} ms is armed after close()`)
    }
  }

  /** Each session has a slot on its engine, and no engine has more sessions than its limit. */
  #checkSlots(): void {
    const { fake, host, stored, plan } = this
    const listed = new Set(fake.engines.map(({ containerId }) => containerId))
    const counts = new Map<string, number>()
    for (const { containerId } of host.held()) {
      if (listed.has(containerId)) counts.set(containerId, (counts.get(containerId) ?? 0) + 1)
    }
    const usage = stored?.inner.usage()
    for (const [containerId, count] of counts) {
      if (count > plan.limit) this.report(`engine ${containerId} has ${count} sessions`)
      const { leaseCount = 0, streamIds = new Set() } = usage?.get(containerId) ?? {}
      if (usage !== undefined && leaseCount + streamIds.size < count) this.report(`engine ${containerId} has a session without a slot`)
    }
  }

  /** A lease that no caller holds, and on which no session opens, is released. */
  #checkLeases(): void {
    const { stored, host, plan, heldLeases } = this
    if (stored === undefined || plan.hasOwnIds || this.isAnyClosing || plan.disturbances.some(({ what }) => what.kind === 'store away'))
      return
    const names = new Set<string | undefined>()
    let leased = 0
    for (const [engine, { leaseCount, streamIds }] of stored.inner.usage()) {
      for (const id of streamIds) names.add(host.find(id)?.name)
      // A client that requests an engine holds a lease on no engine.
      if (!engine.startsWith('(')) leased += leaseCount
    }
    const opening = host.sessions.filter(({ name, state }) => state !== 'closed' && state !== 'failed' && !names.has(name))
    if (leased > heldLeases + opening.length) this.report(`${leased} leases for ${heldLeases} callers and ${opening.length} sessions`)
  }

  /** No stream lingers while a caller waits, unless a stream ends for each waiting caller. */
  #checkYielding(): void {
    if (!this.isCalm || this.undemandingCount > 0) return
    let ending = this.host.sessions.filter(({ state }) => state === 'closing').length
    // Clients that share a store release a slot only when the end was applied.
    for (const { streamIds } of this.stored?.inner.usage().values() ?? []) {
      for (const id of streamIds) ending += Number(this.host.find(id)?.state === 'closed')
    }
    for (const { client } of this.clients) {
      const { leases, streams } = client.metrics()
      if (streams.lingering > 0 && leases.waiting > ending) {
        this.report(`${streams.lingering} streams linger while ${leases.waiting} callers wait`)
      }
    }
  }

  #addClient(index: number, random: () => number): void {
    const { plan, clock, fake, host, stored, logger } = this
    const counted = new CountedClock(clock)
    const client = new OrchestratorClient({
      ...{ baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, clock: counted, transport: this.#transport(), random, logger },
      ...{ maxStreamsPerEngine: plan.limit, cacheTtlMs: 500, healthIntervalMs: 0, reconcileIntervalMs: 10_000, proxyId: `proxy-${index}` },
      ...(stored === undefined ? {} : { store: stored.store }),
      ...(plan.hasFallback ? { fallbackEngine: { host: 'fallback', port: 6_878 } } : {}),
    })
    const own: WorldClient = {
      ...{ client, clock: counted, viewerCounts: new Map<string, number>(), joinedCount: 0 },
      ...{ isClosing: false, isClosed: false, closesAt: Number.POSITIVE_INFINITY },
    }
    this.clients.push(own)
    const count = (event: string, streamId: string, viewerCount: number, change: number): void => {
      const expected = (own.viewerCounts.get(streamId) ?? 0) + change
      own.viewerCounts.set(streamId, expected)
      if (viewerCount !== expected && !plan.hasOwnIds) this.report(`${event} has viewerCount ${viewerCount}, expected ${expected}`)
    }
    client.on('stream:lost', ({ streamId }) => {
      const session = host.find(streamId)
      if (session !== undefined)
        for (const one of host.sessions) if (one === session || (plan.hasOwnIds && one.owner === session.owner)) one.isBroken = true
    })
    client.on('viewer:joined', ({ streamId, viewerCount }) => {
      own.joinedCount += 1
      count('viewer:joined', streamId, viewerCount, 1)
      this.#at('viewer:joined', host.find(streamId)?.owner.content)
    })
    client.on('viewer:left', ({ streamId, viewerCount }) => count('viewer:left', streamId, viewerCount, -1))
  }

  #transport(): Transport {
    const { fake } = this
    return {
      request: async (request) => {
        if (!request.url.pathname.endsWith('stream_started')) return fake.request(request)
        const digit = /([a-e])\1{39}/i.exec(String(request.body))?.[1] ?? ''
        const content = DIGITS.indexOf(digit.toLowerCase())
        this.#at('start sent', content)
        try {
          return await fake.request(request)
        } finally {
          this.#at('start answered', content)
        }
      },
      stream: (request) => fake.stream(request),
    }
  }

  #at(point: Point, content: number | undefined): void {
    const now = this.clock.now()
    for (const awaited of [...this.#awaited]) {
      const isOther = awaited.content !== undefined && awaited.content !== content
      if (awaited.moment.point !== point || awaited.from > now || isOther) continue
      this.#awaited.splice(this.#awaited.indexOf(awaited), 1)
      void actAfter(awaited.moment.microtasks, awaited.act)
    }
  }

  /** When the time of its close() is over a client holds nothing any longer, a moment before close() resolves. */
  #holdsNothing(index: number): boolean {
    const own = this.clients[index]
    return own !== undefined && (own.isClosed || this.clock.now() >= own.closesAt)
  }
}

/** Calls `act` at once, or some microtasks later. */
async function actAfter(microtasks: number, act: () => void): Promise<void> {
  for (let count = 0; count < microtasks; count += 1) await Promise.resolve()
  act()
}
