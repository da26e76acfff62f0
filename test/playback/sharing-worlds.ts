import {
  type Clock,
  type EngineLease,
  MemoryStore,
  type OpenStream,
  OrchestratorClient,
  type StateStore,
  StoreError,
  type StreamViewer,
  type Timer,
  type Transport,
} from 'acestream-orchestrator-client'
import { FakeOrchestrator, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import fc from 'fast-check'
import { expect } from 'vitest'
import { laterStore } from '../support/later-store.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { type Owner, type Session, SharingHost } from './sharing-host.ts'
import {
  CLOSE_TIMEOUT_MS,
  calmWorld,
  type Disturbance,
  type Moment,
  OPEN_TIMEOUT_MS,
  type Point,
  type Viewer,
  type World,
  wildWorld,
} from './sharing-plan.ts'

const KEYS = [0, 1, 2, 3, 4].map((content) => `${content}`.repeat(40))
/** The time in which viewers act, milliseconds. */
const ACT_MS = 30_000
const REST_MS = 5 * 60_000

/** Counts the timers of one client. */
class CountedClock implements Clock {
  readonly armed = new Set<object>()
  readonly #clock: ManualClock

  constructor(clock: ManualClock) {
    this.#clock = clock
  }

  now(): number {
    return this.#clock.now()
  }

  monotonic(): number {
    return this.#clock.monotonic()
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const id = { delayMs }
    this.armed.add(id)
    const timer = this.#clock.setTimeout(() => {
      this.armed.delete(id)
      callback()
    }, delayMs)
    return {
      cancel: () => {
        this.armed.delete(id)
        timer.cancel()
      },
    }
  }
}

/** A store whose calls fail while it is away, and that reports each release to the test. */
function watchedStore({ store }: World, isAway: () => boolean, onRelease: () => void): { store: StateStore; inner: MemoryStore } {
  const base = store === 'at once' ? new MemoryStore() : laterStore(store === 'later' ? 1 : 3)
  const inner = base instanceof MemoryStore ? base : base.inner
  const release = (name: 'releaseLease' | 'releaseStream', id: string) => {
    const answer = inner[name](id)
    onRelease()
    return answer
  }
  const names = ['take', 'promote', 'occupy', 'releaseLease', 'releaseStream', 'expire', 'usage', 'claimEnd', 'unclaimEnd'] as const
  const others = ['endedAmong', 'forgetEnded', 'append', 'settle', 'recover'] as const
  const watched: Record<string, unknown> = {}
  for (const name of [...names, ...others]) {
    watched[name] = (...args: unknown[]) => {
      if (isAway()) throw new StoreError('The store is away', { reason: 'unavailable' })
      if (base === inner && (name === 'releaseLease' || name === 'releaseStream')) return release(name, args[0] as string)
      return (base[name] as (...args: unknown[]) => unknown).apply(base, args)
    }
  }
  return { store: watched as unknown as StateStore, inner }
}

interface Client {
  readonly client: OrchestratorClient
  readonly clock: CountedClock
  /** Viewers of each stream, by its id. */
  readonly counts: Map<string, number>
  joined: number
  isClosing: boolean
  isClosed: boolean
}

/** Lives one world. Returns one line for each promise of `openStream` and `joinStream` that was broken. */
export async function live(plan: World): Promise<readonly string[]> {
  const isCalm = plan.disturbances.length === 0 && plan.opens.every(({ how }) => how === 'works') && plan.closing === undefined
  const clock = new ManualClock()
  const begunAt = clock.now()
  const random = seededRandom(plan.seed)
  const problems: string[] = []
  const report = (problem: string): void => {
    if (problems.length < 10) problems.push(`${clock.now() - begunAt} ms: ${problem}`)
  }
  const logger = new RecordingLogger()
  const fake = new FakeOrchestrator({
    ...{ generation: plan.generation, engines: plan.engines, clock, random, maxReplicas: plan.engines + 1 },
    latencyMs: () => Math.floor(random() * plan.slowestMs),
  })
  /** Whether engines were lost: then streams move and start again, and the limit may be exceeded. */
  let mayExceed = false
  let isAway = false
  let isFaulty = false
  const waiters: { point: Point; owner: Owner | undefined; from: number; act: () => void; microtasks: number }[] = []
  const at = (point: Point, owner: Owner | undefined): void => {
    const now = clock.now()
    for (const waiter of [...waiters]) {
      if (waiter.point !== point || waiter.from > now || (waiter.owner !== undefined && waiter.owner.content !== owner?.content)) continue
      waiters.splice(waiters.indexOf(waiter), 1)
      void after(waiter.microtasks, waiter.act)
    }
  }
  /** Calls `act` at a moment. The owner of `undefined` is any. */
  const when = ({ point, afterMs, microtasks }: Moment, owner: Owner | undefined, act: () => void): void => {
    if (point === 'time') clock.setTimeout(() => void after(microtasks, act), afterMs)
    else waiters.push({ point, owner, from: clock.now() + afterMs, act, microtasks })
  }
  const clients: Client[] = []
  const host = new SharingHost({
    ...{ clock, opens: plan.opens, closes: plan.closes, report, at },
    isClosed: (client) => clients[client]?.isClosed ?? true,
  })

  const stored =
    plan.store === 'own'
      ? undefined
      : watchedStore(
          plan,
          () => isAway,
          () => checkSlots(),
        )
  /** Each session has a slot on its engine, and no engine has more sessions than its limit. */
  const checkSlots = (): void => {
    const listed = new Set(fake.engines.map(({ containerId }) => containerId))
    const sessions = new Map<string, number>()
    for (const { containerId } of host.held()) {
      if (listed.has(containerId)) sessions.set(containerId, (sessions.get(containerId) ?? 0) + 1)
    }
    const usage = stored?.inner.usage()
    for (const [containerId, count] of sessions) {
      if (count > plan.limit) report(`engine ${containerId} has ${count} sessions`)
      const { leaseCount = 0, streamIds = new Set() } = usage?.get(containerId) ?? {}
      if (usage !== undefined && leaseCount + streamIds.size < count) report(`engine ${containerId} has a session without a slot`)
    }
  }

  const transport: Transport = {
    request: async (request) => {
      if (!request.url.pathname.endsWith('stream_started')) return fake.request(request)
      const key = /"key":\s*"([^"]*)"|([0-9a-f])\2{39}/.exec(typeof request.body === 'string' ? request.body : '')?.[0] ?? ''
      const owner = { client: 0, content: Number(/([0-9])\1{39}/.exec(key)?.[1] ?? -1), isShared: true }
      at('start sent', owner)
      try {
        return await fake.request(request)
      } finally {
        at('start answered', owner)
      }
    },
    stream: (request) => fake.stream(request),
  }
  const owners = new Map<string, Owner>()
  const ownerOf = (client: number, content: number, isShared: boolean): Owner => {
    const key = `${client} ${content} ${isShared}`
    const owner = owners.get(key) ?? { client, content, isShared }
    owners.set(key, owner)
    return owner
  }

  for (let index = 0; index < (stored === undefined ? 1 : plan.clients); index += 1) {
    const counted = new CountedClock(clock)
    const client = new OrchestratorClient({
      ...{ baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, clock: counted, transport, random, logger },
      ...{ maxStreamsPerEngine: plan.limit, cacheTtlMs: 500, healthIntervalMs: 0, reconcileIntervalMs: 10_000, proxyId: `proxy-${index}` },
      ...(stored === undefined ? {} : { store: stored.store }),
    })
    const own: Client = { client, clock: counted, counts: new Map(), joined: 0, isClosing: false, isClosed: false }
    clients.push(own)
    client.on('stream:lost', ({ streamId }) => {
      const session = host.find(streamId)
      if (session !== undefined) session.isBroken = true
    })
    client.on('viewer:joined', ({ streamId, viewerCount }) => {
      const count = (own.counts.get(streamId) ?? 0) + 1
      own.counts.set(streamId, count)
      own.joined += 1
      if (count !== viewerCount) report(`viewer:joined has viewerCount ${viewerCount}, expected ${count}`)
      at('viewer:joined', host.find(streamId)?.owner)
    })
    client.on('viewer:left', ({ streamId, viewerCount }) => {
      const count = (own.counts.get(streamId) ?? 0) - 1
      own.counts.set(streamId, count)
      if (count !== viewerCount) report(`viewer:left has viewerCount ${viewerCount}, expected ${count}`)
    })
  }

  const streams = new Map<OpenStream<Session>, { firsts: number; viewers: number }>()
  const leases: EngineLease[] = []
  const pending = new Set<string>()
  let joined = 0
  /** The patience with which callers got an error: callers that come later may get the same one. */
  const seenErrors = new Map<unknown, number>()
  const isWaitingFreely = { count: 0, special: 0 }
  const pause = (ms: number): Promise<void> => new Promise((resolve) => void clock.setTimeout(resolve, ms))

  /** Judges how a call was rejected. */
  const judge = (
    name: string,
    viewer: Viewer,
    error: unknown,
    { since, signal, abortedAt }: { since: number; signal: AbortSignal; abortedAt: number | undefined },
  ): void => {
    const elapsedMs = clock.now() - since
    const own = clients[viewer.client % clients.length] as Client
    if (signal.aborted && error === signal.reason) {
      if (abortedAt !== undefined && clock.now() > abortedAt) report(`${name} was rejected ${clock.now() - abortedAt} ms after its abort`)
      return
    }
    if (host.errors.has(error)) return
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (typeof code !== 'string') return report(`${name} was rejected with ${String(error)}`)
    if (String((error as Error).message).includes('Defect')) report(`${name}: ${String(error)}`)
    if (code === 'CLIENT_CLOSED' && !own.isClosing) report(`${name} was rejected with ${code} although its client is open`)
    if (code === 'INVALID_ARGUMENT' && (error as { argument?: string }).argument !== 'session.statUrl') report(`${name}: ${String(error)}`)
    if (code === 'CAPACITY') {
      const isReused = (seenErrors.get(error) ?? -1) >= 0
      const { reason } = error as { reason?: string }
      const isEarly = elapsedMs < viewer.waitMs && reason !== 'lease_expired'
      if (isEarly && !isReused && !plan.disturbances.some(({ what }) => what.kind === 'refuse') && isCalm)
        report(`${name} was rejected after ${elapsedMs} of ${viewer.waitMs} ms: ${String(error)}`)
    }
    seenErrors.set(error, viewer.waitMs)
  }

  const call = async (name: string, viewer: Viewer): Promise<EngineLease | OpenStream<Session> | StreamViewer<Session> | 'rejected'> => {
    const index = viewer.client % clients.length
    const { client } = clients[index] as Client
    const leaving = new AbortController()
    const since = clock.now()
    let abortedAt: number | undefined
    const owner = ownerOf(index, viewer.content, viewer.call === 'join')
    const id = `${name} since ${since - begunAt}`
    let isOver = false
    const abort = (): void => {
      if (isOver) return
      abortedAt ??= clock.now()
      leaving.abort(`${name} left`)
    }
    if (viewer.aborts !== undefined) when(viewer.aborts, owner, abort)
    const excluded = viewer.exclude === undefined ? undefined : fake.engines[viewer.exclude]?.containerId
    const acquire = {
      ...{ waitMs: viewer.waitMs, provision: viewer.provision, signal: leaving.signal },
      ...(excluded === undefined ? {} : { exclude: [excluded] }),
    }
    const opening = {
      ...{ keyType: 'infohash' as const, key: KEYS[viewer.content] ?? '', engineAttempts: viewer.engineAttempts },
      ...{ openTimeoutMs: OPEN_TIMEOUT_MS, playbackCloseTimeoutMs: CLOSE_TIMEOUT_MS },
      open: (...args: Parameters<SharingHost['open']> extends [Owner, ...infer Rest] ? Rest : never) => host.open(owner, ...args),
      close: (session: Session) => host.close(session),
    }
    pending.add(id)
    if (viewer.waitMs === 0 || viewer.provision) isWaitingFreely.special += 1
    try {
      if (viewer.call === 'acquire') return await client.acquireEngine(acquire)
      if (viewer.call === 'open') return await client.openStream({ ...acquire, ...opening })
      return await client.joinStream({ ...acquire, ...opening, lingerMs: viewer.lingerMs })
    } catch (error) {
      judge(id, viewer, error, { since, signal: leaving.signal, abortedAt })
      return 'rejected'
    } finally {
      isOver = true
      pending.delete(id)
      if (viewer.waitMs === 0 || viewer.provision) isWaitingFreely.special -= 1
      // Each attempt may wait for `open`, for the close of an earlier stream and for the start.
      const mostMs = viewer.waitMs + viewer.engineAttempts * OPEN_TIMEOUT_MS + 3 * CLOSE_TIMEOUT_MS + (isCalm ? 2_000 : 25_000)
      if (clock.now() - since > mostMs) report(`${id} took ${clock.now() - since} ms, with waitMs ${viewer.waitMs}`)
    }
  }

  const go = async (stream: OpenStream<Session>, viewer: Viewer, { client }: Client): Promise<void> => {
    if (viewer.goes === 'fail') {
      if (stream.state === 'live' || stream.state === 'announcing' || stream.state === 'refused') stream.playback.isBroken = true
      await stream.fail(new Error('the engine sent nothing'))
    } else if (viewer.goes === 'end by id') await client.streamEnded(stream.id)
    else if (viewer.goes === 'dispose') await stream[Symbol.asyncDispose]()
    else await stream.end('viewer left')
  }

  const watch = async (name: string, viewer: Viewer): Promise<void> => {
    await pause(viewer.arrivesAt)
    for (let left = viewer.retries; left >= 0; left -= 1) {
      const own = clients[viewer.client % clients.length] as Client
      const got = await call(name, viewer)
      if (got === 'rejected') {
        await pause(viewer.retryMs)
        continue
      }
      if ('release' in got) {
        leases.push(got)
        await pause(viewer.watchesMs)
        await got.release()
        return
      }
      const stream = 'stream' in got ? (got.stream as OpenStream<Session>) : got
      const known = streams.get(stream) ?? { firsts: 0, viewers: 0 }
      streams.set(stream, known)
      known.viewers += 1
      if ('isFirst' in got) {
        joined += 1
        known.firsts += got.isFirst ? 1 : 0
      }
      const gone = new Promise<void>((resolve) => {
        if (stream.lost.aborted) resolve()
        else stream.lost.addEventListener('abort', () => resolve(), { once: true })
      })
      await Promise.race([pause(viewer.watchesMs), gone])
      const wasLost = stream.lost.aborted
      // A rejection that nobody handles is reported, so ends that take long need no attention here.
      if (!wasLost && !('leave' in got && viewer.goes === 'leave')) void go(stream, viewer, own)
      if ('leave' in got) await got.leave(viewer.goes)
      if (!wasLost) return
    }
  }

  const disturb = (what: Disturbance): void => {
    const { client } = clients[0] as Client
    const engine = 'index' in what ? fake.engines[what.index] : undefined
    if (what.kind === 'fault') fake.inject(what.fault)
    if (what.kind === 'fault' || what.kind === 'restart') isFaulty = true
    if (what.kind === 'restart' || what.kind === 'removeEngine' || what.kind === 'drainEngine') mayExceed = true
    if (what.kind === 'restart') fake.restart({ downMs: what.downMs })
    if (what.kind === 'addEngine') fake.addEngine()
    if (what.kind === 'refuse') fake.setProvisioning({ refuse: 'general_error' })
    if (what.kind === 'clearFaults') fake.clearFaults()
    if (what.kind === 'flush' || what.kind === 'reconcile') client[what.kind]().catch(() => {})
    if (what.kind === 'sweep' && clients[0]?.isClosing !== true) client.sweep()
    if (engine !== undefined && fake.engines.length > 1 && what.kind === 'removeEngine') fake.removeEngine(engine.containerId)
    if (engine !== undefined && fake.engines.length > 1 && what.kind === 'drainEngine') fake.drainEngine(engine.containerId)
    if (what.kind === 'store away') {
      isAway = true
      clock.setTimeout(() => {
        isAway = false
      }, what.forMs)
    }
  }

  const close = (own: Client, timeoutMs: number): void => {
    if (own.isClosing) return
    own.isClosing = true
    const id = 'close()'
    pending.add(id)
    void own.client.close({ timeoutMs }).then(() => {
      own.isClosed = true
      pending.delete(id)
    })
  }

  /** What holds whenever all promises that can settle have settled. */
  const checkNow = (): void => {
    checkSlots()
    for (const { isClosed, clock: counted } of clients) {
      for (const timer of isClosed ? counted.armed : [])
        report(`a timer of ${(timer as { delayMs: number }).delayMs} ms is armed after close()`)
    }
    if (!isCalm || isWaitingFreely.special > 0) return
    for (const { client } of clients) {
      const {
        leases: counts,
        streams: { lingering },
      } = client.metrics()
      const yielding = host.sessions.filter(({ state }) => state === 'closing').length
      if (lingering > 0 && counts.waiting > yielding) report(`${lingering} streams linger while ${counts.waiting} callers wait`)
    }
  }

  const closing = plan.closing
  if (closing !== undefined) when(closing.when, undefined, () => close(clients[0] as Client, closing.timeoutMs))
  const lives = plan.viewers.map((viewer, index) => watch(`viewer ${index} (${viewer.call})`, viewer))
  for (const { at: ms, what } of plan.disturbances) clock.setTimeout(() => disturb(what), ms)
  for (let passed = 0; passed < ACT_MS; passed += 500) {
    await clock.advance(500)
    checkNow()
  }
  fake.clearFaults()
  fake.setProvisioning({ refuse: undefined })
  for (const lease of leases) await lease.release()
  await clock.advance(REST_MS)
  checkNow()
  for (const id of pending) report(`${id} has not settled`)
  await Promise.all(lives.map((life) => Promise.race([life, clock.settle()])))

  for (const [stream, { firsts, viewers }] of streams) {
    if (viewers > 0 && firsts > 1) report(`stream ${stream.id} has ${firsts} first viewers`)
    const isShared = stream.playback.owner.isShared
    if (isShared && firsts === 0) report(`stream ${stream.id} has no first viewer`)
  }
  for (const { name, state, closeCalls } of host.sessions) {
    const wasOpened = state !== 'opening' && state !== 'failed'
    if (wasOpened && closeCalls !== 1) report(`close was called ${closeCalls} times for session ${name}`)
  }
  const isAnyClosed = clients.some(({ isClosing }) => isClosing)
  for (const { client, isClosing, joined: events, counts } of clients) {
    if (isClosing) continue
    const {
      leases: held,
      streams: live,
      events: { pending: undelivered, misapplied },
    } = client.metrics()
    const left = { ...live, leases: held.active, waiting: held.waiting, undelivered, misapplied }
    for (const [what, count] of Object.entries(left)) if (count !== 0) report(`at rest there are ${count}: ${what}`)
    if (clients.length === 1 && events !== joined) report(`${events} viewer:joined for ${joined} viewers`)
    for (const [id, count] of counts) if (count !== 0) report(`${count} viewers never left ${id}`)
  }
  if (!isAnyClosed) {
    for (const id of fake.liveStreamIds()) report(`stream ${id} is still listed`)
    for (const [engine, { leaseCount, streamIds }] of stored?.inner.usage() ?? [])
      if (leaseCount + streamIds.size > 0) report(`at rest engine ${engine} has ${leaseCount} leases and ${streamIds.size} streams`)
  }
  if (!mayExceed && !isFaulty) {
    for (const peak of Object.values(fake.counters.peakLoad)) if (peak > plan.limit) report(`an engine had ${peak} streams`)
    const { startsApplied, endsApplied } = fake.counters
    if (!isAnyClosed && startsApplied !== endsApplied) report(`${startsApplied} starts and ${endsApplied} ends were applied`)
  }
  for (const own of clients) close(own, 0)
  await clock.advance(60_000)
  if (clock.pendingCount > 0) report(`${clock.pendingCount} timers are armed in the end`)
  if (logger.all.some((line) => JSON.stringify(line, (_key, value) => (value instanceof Error ? value.message : value)).includes('Defect')))
    report('a defect was logged')
  return problems
}

async function after(microtasks: number, act: () => void): Promise<void> {
  for (let count = 0; count < microtasks; count += 1) await Promise.resolve()
  act()
}

/** Lives this many random worlds. `SIMULATION_RUNS` and `SIMULATION_SEED` in the environment replace the number and the seed. */
export async function checkSharingWorlds(runs: number): Promise<void> {
  const { SIMULATION_RUNS = runs, SIMULATION_SEED = '20261201' } = process.env
  const unhandled: unknown[] = []
  const note = (reason: unknown): void => void unhandled.push(reason)
  process.on('unhandledRejection', note)
  try {
    const property = fc.asyncProperty(fc.oneof({ weight: 1, arbitrary: calmWorld }, { weight: 3, arbitrary: wildWorld }), async (plan) => {
      const problems = await live(plan)
      const rejected = unhandled.splice(0).map((reason) => `unhandled: ${String(reason)}`)
      expect([...problems, ...rejected]).toEqual([])
    })
    await fc.assert(property, {
      numRuns: Number(SIMULATION_RUNS),
      seed: Number(SIMULATION_SEED),
      interruptAfterTimeLimit: Number(process.env['SIMULATION_MS'] ?? 1e9),
      markInterruptAsFailure: false,
    })
  } finally {
    process.off('unhandledRejection', note)
  }
}
