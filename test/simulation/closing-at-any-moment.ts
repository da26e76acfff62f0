import { getEventListeners } from 'node:events'
import {
  type Cache,
  type EngineLease,
  type JournalEntry,
  MemoryStore,
  OrchestratorClient,
  type StateStore,
  type StreamHandle,
  type Transport,
} from 'acestream-orchestrator-client'
import {
  FAULT_KINDS,
  FakeOrchestrator,
  type FaultKind,
  type Generation,
  ManualClock,
  seededRandom,
} from 'acestream-orchestrator-client/testing'
import fc from 'fast-check'
import { CountedClock } from '../support/counted-clock.ts'
import { laterStore } from '../support/later-store.ts'
import { playback } from '../support/setup.ts'

const HOUR_MS = 3_600_000
/** Turns of the event loop: more than the slowest store of these runs needs for all calls of a closing client. */
const RESTS = 8

const CALLS = [
  ...['listEngines', 'listEngines fresh', 'listStreams', 'checkHealth', 'reconcile', 'sweep', 'flush', 'provisionEngine'],
  ...['acquireEngine', 'acquireEngine', 'acquireEngine', 'acquireEngine patiently', 'lease.release', 'lease.fail', 'lease.startStream'],
  ...['lease.startStream', 'streamStarted', 'handle.end', 'streamEnded', 'streamEnded elsewhere', 'lease dispose', 'handle dispose'],
] as const

type Step =
  | { readonly kind: 'call'; readonly name: (typeof CALLS)[number]; readonly abortAfterMs: number | undefined; readonly thenMs: number }
  | { readonly kind: 'fault'; readonly fault: FaultKind; readonly times: number; readonly thenMs: number }
  | { readonly kind: 'restart' | 'vanish' | 'engine'; readonly thenMs: number }

/** When the client is closed. */
type Moment =
  | { readonly kind: 'step'; readonly index: number; readonly turns: number; readonly microtasks: number }
  | { readonly kind: 'request'; readonly index: number; readonly at: 'before' | 'after' | 'answer' }
  | { readonly kind: 'time'; readonly ms: number }

/** One run: what is called, what fails, and when the client closes. */
export interface Schedule {
  readonly engines: number
  readonly seed: number
  readonly slowestMs: number
  /** Turns of the event loop until the store, and the cache, answer. 0: they answer at once. */
  readonly storeTurns: number
  readonly cacheTurns: number
  /** Whether a dead process has left a stream, and when the store recovers it. */
  readonly predecessor: 'none' | 'at once' | 'later'
  readonly dialect: 'auto' | 'known'
  readonly periodicMs: number
  readonly reenters: boolean
  readonly steps: readonly Step[]
  readonly moment: Moment
  readonly timeoutMs: number
}

const thenMs = fc.constantFrom(0, 0, 0, 7, 60, 1_000, 4_000, 20_000)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('call' as const),
      name: fc.constantFrom(...CALLS),
      abortAfterMs: fc.constantFrom(undefined, undefined, undefined, 0, 30, 2_000),
      thenMs,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('fault' as const),
      fault: fc.constantFrom(...FAULT_KINDS.filter((kind) => kind !== 'oversized')),
      times: fc.constantFrom(1, 3, 1_000),
      thenMs,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('restart' as const, 'vanish' as const, 'engine' as const), thenMs }) },
)
const moment: fc.Arbitrary<Moment> = fc.oneof(
  fc.record({ kind: fc.constant('step' as const), index: fc.nat(24), turns: fc.nat(3), microtasks: fc.nat(12) }),
  fc.record({ kind: fc.constant('request' as const), index: fc.nat(30), at: fc.constantFrom('before', 'after', 'answer') }),
  fc.record({ kind: fc.constant('time' as const), ms: fc.nat(20_000) }),
)

/** Any schedule. */
export const schedule: fc.Arbitrary<Schedule> = fc.record({
  engines: fc.nat(3),
  seed: fc.integer({ min: 1, max: 1_000_000 }),
  slowestMs: fc.constantFrom(0, 1, 60, 900),
  storeTurns: fc.constantFrom(0, 0, 1, 2),
  cacheTurns: fc.constantFrom(0, 0, 1),
  predecessor: fc.constantFrom('none', 'at once', 'later'),
  dialect: fc.constantFrom('auto', 'known'),
  periodicMs: fc.constantFrom(0, 0, 700),
  reenters: fc.boolean(),
  steps: fc.array(step, { minLength: 1, maxLength: 25 }),
  moment,
  timeoutMs: fc.constantFrom(0, 100, 5_000),
})

/** A transport that keeps the requests in flight, and calls `onRequest` before, during and after each request. */
class CountedTransport implements Transport {
  readonly inFlight = new Set<object>()
  readonly connections: AbortSignal[] = []
  count = 0
  readonly #fake: FakeOrchestrator
  readonly #onRequest: (index: number, at: 'before' | 'after' | 'answer') => void

  constructor(fake: FakeOrchestrator, onRequest: (index: number, at: 'before' | 'after' | 'answer') => void) {
    this.#fake = fake
    this.#onRequest = onRequest
  }

  request: Transport['request'] = (request) => this.#counted(() => this.#fake.request(request), `${request.method} ${request.url.pathname}`)

  stream: NonNullable<Transport['stream']> = (request) => {
    if (request.signal === undefined) throw new Error('expected a signal')
    this.connections.push(request.signal)
    return this.#counted(() => this.#fake.stream(request), 'event stream')
  }

  async #counted<T>(send: () => Promise<T>, name: string): Promise<T> {
    const index = this.count++
    const id = { name }
    this.inFlight.add(id)
    this.#onRequest(index, 'before')
    try {
      const answer = send()
      this.#onRequest(index, 'after')
      return await answer
    } finally {
      this.inFlight.delete(id)
      this.#onRequest(index, 'answer')
    }
  }
}

function storeOf({ storeTurns, predecessor }: Schedule, clock: ManualClock): StateStore {
  const store: StateStore = storeTurns === 0 ? new MemoryStore() : laterStore(storeTurns)
  let isLeft = predecessor !== 'none'
  const recover = async (): Promise<readonly JournalEntry[]> => {
    if (predecessor === 'later') await new Promise<void>((resolve) => void clock.setTimeout(resolve, 2_500))
    if (!isLeft) return []
    isLeft = false
    return [{ streamId: 'of-a-predecessor', proxyId: 'dead', isOver: false }]
  }
  return Object.assign(store, { recover })
}

function laterCache(turns: number): Cache {
  const values = new Map<string, unknown>()
  const later = <T>(answer: () => T): T | Promise<T> => {
    if (turns === 0) return answer()
    return new Promise<void>((resolve) => void setImmediate(resolve)).then(answer)
  }
  return {
    get: (key) => later(() => values.get(key)),
    set: (key, value) => later(() => values.set(key, value)),
    delete: (key) => later(() => values.delete(key)),
  } as Cache
}

/** Runs a schedule. Returns one line for each thing that the closed client left and must not leave: none if all is well. */
export async function leftBehind(generation: Generation, plan: Schedule): Promise<readonly string[]> {
  const unhandled: unknown[] = []
  const note = (reason: unknown): void => void unhandled.push(reason)
  process.on('unhandledRejection', note).on('uncaughtException', note)
  try {
    return [...(await run(generation, plan)), ...unhandled.map((reason) => `unhandled: ${reason}`)]
  } finally {
    process.off('unhandledRejection', note).off('uncaughtException', note)
  }
}

async function run(generation: Generation, plan: Schedule): Promise<string[]> {
  const clock = new ManualClock()
  const random = seededRandom(plan.seed)
  const latencyMs = (): number => Math.floor(random() * plan.slowestMs)
  const fake = new FakeOrchestrator({ generation, engines: plan.engines, clock, random, latencyMs, maxReplicas: 4 })
  const counted = new CountedClock(clock)
  const pending = new Set<string>()
  const signals: AbortSignal[] = []
  const leases: EngineLease[] = []
  const handles: StreamHandle[] = []
  let isClosing = false
  const close = (): void => {
    if (isClosing) return
    isClosing = true
    void track('close', client.close({ timeoutMs: plan.timeoutMs }))
  }
  const transport = new CountedTransport(fake, (index, at) => {
    if (plan.moment.kind === 'request' && plan.moment.index === index && plan.moment.at === at) close()
  })
  const client = new OrchestratorClient({
    ...{ baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, clock: counted, transport, random: seededRandom(plan.seed) },
    ...{ store: storeOf(plan, clock), cache: laterCache(plan.cacheTurns) },
    dialect: plan.dialect === 'auto' ? 'auto' : generation === 'v1' ? 'v1' : 'unversioned',
    ...{ healthIntervalMs: plan.periodicMs, reconcileIntervalMs: plan.periodicMs, sweepIntervalMs: plan.periodicMs },
  })
  let calls = 0

  function track<T>(name: string, call: Promise<T>, keep: (value: T) => unknown = () => {}): Promise<void> {
    const id = `${name} ${calls++}`
    pending.add(id)
    return call
      .then(
        (value) => void keep(value),
        () => {},
      )
      .finally(() => pending.delete(id))
  }

  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)]
  const start = () => playback((calls % 5).toString().repeat(40), `s${calls}`)

  async function call(name: (typeof CALLS)[number], signal: AbortSignal): Promise<unknown> {
    const lease = pick(leases)
    const handle = pick(handles)
    const engine = pick(fake.engines)
    if (name === 'listEngines') return client.listEngines({ signal })
    if (name === 'listEngines fresh') return client.listEngines({ signal, fresh: true })
    if (name === 'listStreams') return client.listStreams({}, { signal })
    if (name === 'checkHealth') return client.checkHealth({ signal })
    if (name === 'reconcile') return client.reconcile({ signal })
    if (name === 'sweep') return client.sweep()
    if (name === 'flush') return client.flush({ signal })
    if (name === 'provisionEngine') return client.provisionEngine({ signal })
    if (name === 'acquireEngine') return client.acquireEngine({ signal, waitMs: 500 }).then((taken) => leases.push(taken))
    if (name === 'acquireEngine patiently') return client.acquireEngine({ signal, waitMs: 60_000 }).then((taken) => leases.push(taken))
    if (name === 'streamEnded elsewhere') return client.streamEnded(`of-a-predecessor-${calls}`)
    if (name === 'streamEnded') return client.streamEnded(handle?.id ?? 'unknown')
    if (name === 'streamStarted' && engine !== undefined) {
      const { host, port, containerId } = engine
      const named = random() < 0.5 ? { host, port, containerId } : { host, port }
      return client.streamStarted({ ...start(), engine: named }, { signal }).then((begun) => handles.push(begun))
    }
    if (lease !== undefined) {
      if (name === 'lease.release') return lease.release()
      if (name === 'lease.fail') return lease.fail(new Error('the player gave up'))
      if (name === 'lease dispose') return lease[Symbol.asyncDispose]()
      if (name === 'lease.startStream') return lease.startStream(start(), { signal }).then((begun) => handles.push(begun))
    }
    if (handle !== undefined && name === 'handle.end') return handle.end('left')
    if (handle !== undefined && name === 'handle dispose') return handle[Symbol.asyncDispose]()
  }

  function perform(name: (typeof CALLS)[number], abortAfterMs?: number): void {
    const leaving = new AbortController()
    signals.push(leaving.signal)
    if (abortAfterMs !== undefined) clock.setTimeout(() => leaving.abort('left'), abortAfterMs)
    void track(name, call(name, leaving.signal))
  }

  if (plan.reenters) {
    let left = 20
    const reenter = (): void => {
      if (left-- > 0) perform(pick(CALLS) ?? 'listEngines')
    }
    for (const event of ['engine:acquired', 'engine:released', 'stream:started', 'stream:ended', 'circuit:opened'] as const) {
      client.on(event, reenter)
    }
  }
  if (plan.moment.kind === 'time') clock.setTimeout(close, plan.moment.ms)
  for (const [index, next] of plan.steps.entries()) {
    if (next.kind === 'call') perform(next.name, next.abortAfterMs)
    else if (next.kind === 'fault') fake.inject({ kind: next.fault, times: next.times })
    else if (next.kind === 'restart') fake.restart({ downMs: 500 })
    else if (next.kind === 'engine') fake.addEngine()
    else if (fake.engines[0] !== undefined) fake.removeEngine(fake.engines[0].containerId)
    if (plan.moment.kind === 'step' && plan.moment.index === index) {
      for (let turns = 0; turns < plan.moment.turns; turns += 1) await new Promise((resolve) => setImmediate(resolve))
      for (let hops = 0; hops < plan.moment.microtasks; hops += 1) await Promise.resolve()
      close()
    }
    if (next.thenMs > 0) await clock.advance(next.thenMs)
  }
  close()
  const rest = async (): Promise<void> => {
    for (let rests = 0; rests < RESTS; rests += 1) await clock.settle()
  }
  await rest()
  await clock.advance(plan.timeoutMs)
  await rest()

  const left: string[] = []
  const check = (when: string): void => {
    for (const id of pending) left.push(`${when}: ${id} has not settled`)
    for (const timer of counted.armed) left.push(`${when}: a timer of ${timer.delayMs} ms is armed`)
    for (const request of transport.inFlight) left.push(`${when}: ${(request as { name: string }).name} is in flight`)
    if (transport.connections.some((signal) => !signal.aborted)) left.push(`${when}: an event stream is open`)
    const listeners = signals.reduce((sum, signal) => sum + getEventListeners(signal, 'abort').length, 0)
    if (listeners > 0) left.push(`${when}: ${listeners} listeners on signals of callers`)
  }
  check('after close()')
  const requests = transport.count
  await clock.advance(HOUR_MS)
  await rest()
  if (transport.count !== requests) left.push(`${transport.count - requests} requests were sent after close()`)
  if (left.length === 0) check('an hour later')
  return left
}
