import {
  MemoryStore,
  type MetricsSnapshot,
  type OrchestratorClientOptions,
  OrchestratorError,
  type StreamHandle,
} from 'acestream-orchestrator-client'
import { type Generation, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { expect, onTestFinished } from 'vitest'
import { MemoryCache } from '../../src/runtime/cache.ts'
import { playback, setup } from '../support/setup.ts'

/** Message of the error that a misbehaving callback throws. */
export const HOST_ERROR = 'the host’s mistake'

const fail = (): never => {
  throw new Error(HOST_ERROR)
}

/** A thenable that throws when it is awaited. */
export const throwingThen = (): object => Object.defineProperty({}, 'then', { value: fail })

/** An object that throws when its property `then` is read. */
export const unreadableThen = (): object => Object.defineProperty({}, 'then', { get: fail })

type Misbehaviour = readonly [name: string, answer: () => unknown]

/** The ways in which a callback can misbehave. */
export const MISBEHAVIOURS: readonly Misbehaviour[] = [
  [
    'throws',
    () => {
      throw new Error(HOST_ERROR)
    },
  ],
  ['rejects', () => Promise.reject(new Error(HOST_ERROR))],
  ['returns undefined', () => undefined],
  ['returns NaN', () => Number.NaN],
  ['returns 7', () => 7],
  ['returns a string', () => 'nonsense'],
  ['returns {}', () => ({})],
  ['returns a promise of nonsense', () => Promise.resolve('nonsense')],
  ['returns a promise whose then throws', () => throwingThen()],
  ['returns an object whose then cannot be read', () => unreadableThen()],
]

/** An object whose method `name` misbehaves; the others work. */
function broken<T extends object>(inner: T, name: string, answer: () => unknown): T {
  return new Proxy(inner, {
    get(target, key) {
      if (key === name) return answer
      const value: unknown = Reflect.get(target, key)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** A logger that drops its lines. */
export const silent = { debug() {}, info() {}, warn() {}, error() {} }
const store = () => Object.assign(new MemoryStore(), { renewIntervalMs: 1_000, renew: () => {}, onSlotFreed: () => () => {} })
const STORE_METHODS = [
  ...['take', 'promote', 'occupy', 'releaseLease', 'releaseStream', 'expire', 'usage', 'claimEnd', 'unclaimEnd', 'endedAmong'],
  ...['forgetEnded', 'append', 'settle', 'recover', 'renew', 'onSlotFreed', 'onUsageChanged'],
]

type Break = (answer: () => unknown, real: { clock: ManualClock; transport: object }) => Partial<OrchestratorClientOptions>

type Callback = readonly [name: string, option: Break]

/** Every callback that a host can pass to a client. */
export const CALLBACKS: readonly Callback[] = [
  ['mapEngine', (answer) => ({ mapEngine: answer as () => { host: string; port: number } })],
  ['rankEngines', (answer) => ({ rankEngines: answer as () => number })],
  ['random', (answer) => ({ random: answer as () => number })],
  ...(['debug', 'info', 'warn', 'error'] as const).map(
    (level) => [`logger.${level}`, (answer: () => unknown) => ({ logger: broken(silent, level, answer) })] as const,
  ),
  ...(['get', 'set', 'delete'] as const).map(
    (method) =>
      [`cache.${method}`, (answer: () => unknown) => ({ cache: broken(new MemoryCache(new ManualClock()), method, answer) })] as const,
  ),
  ...(['now', 'setTimeout'] as const).map((method): readonly [string, Break] => [
    `clock.${method}`,
    (answer, { clock }) => ({ clock: broken(clock, method, answer) }),
  ]),
  ...(['request', 'stream'] as const).map((method): readonly [string, Break] => [
    `transport.${method}`,
    (answer, { transport }) => ({ transport: broken(transport, method, answer) as NonNullable<OrchestratorClientOptions['transport']> }),
  ]),
  ...STORE_METHODS.map((method) => [`store.${method}`, (answer: () => unknown) => ({ store: broken(store(), method, answer) })] as const),
]

/** Collects unhandled rejections and uncaught exceptions until the test is over. */
export function noteUnhandled(): unknown[] {
  const unhandled: unknown[] = []
  const note = (reason: unknown): void => void unhandled.push(reason)
  process.on('unhandledRejection', note).on('uncaughtException', note)
  onTestFinished(() => void process.off('unhandledRejection', note).off('uncaughtException', note))
  return unhandled
}

/** Whether an error is one of the library's, or the one that the callback threw. */
const isKnown = (error: unknown): boolean => error instanceof OrchestratorError || (error instanceof Error && error.message === HOST_ERROR)

/** The state after a client was used with a misbehaving callback and then closed. */
export interface Harm {
  readonly unhandled: readonly unknown[]
  /** Errors of calls that are neither the library's nor the callback's. */
  readonly strangeErrors: readonly unknown[]
  readonly timers: number
  readonly metrics: MetricsSnapshot
}

/** Makes every kind of call of a client whose callback `name` misbehaves, then closes it. */
export async function harmOf([name, option]: Callback, [, answer]: Misbehaviour): Promise<Harm> {
  const unhandled = noteUnhandled()
  const generation: Generation = name === 'transport.stream' ? 'v1' : '2025-10'
  const base = setup({ generation, engines: 3, clock: new ManualClock() })
  const { fake, clock } = base
  const { client } = setup(
    {},
    {
      ...{ clock, transport: fake, apiKey: fake.apiKey, random: seededRandom(3), retry: { attempts: 1 }, reconcileIntervalMs: 5_000 },
      ...option(answer, { clock, transport: fake }),
    },
  )
  const errors: unknown[] = []
  const calls: Promise<unknown>[] = []
  /** Makes a call and waits for it, two seconds at most. Every call must have settled once the client is closed. */
  const quietly = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    let answered: T | undefined
    let isSettled = false
    const call = work()
      .then(
        (value) => {
          answered = value
        },
        (error: unknown) => void errors.push(error),
      )
      .finally(() => {
        isSettled = true
      })
    calls.push(call)
    await clock.settle()
    for (let steps = 0; steps < 20 && !isSettled; steps += 1) await clock.advance(100)
    return answered
  }
  await quietly(() => client.listEngines())
  const streams: (StreamHandle | undefined)[] = []
  streams.push(await quietly(async () => (await client.acquireEngine({ waitMs: 0 })).startStream({ ...playback(), streamId: 'a' })))
  const lease = await quietly(() => client.acquireEngine({ waitMs: 0 }))
  await quietly(async () => lease?.release())
  await quietly(async () => (await client.acquireEngine({ waitMs: 0 })).fail())
  const [engine] = fake.engines
  if (engine !== undefined) {
    const { host, port } = engine
    streams.push(await quietly(() => client.streamStarted({ ...playback(), streamId: 'b', engine: { host, port } })))
  }
  await quietly(() => client.checkHealth())
  await quietly(() => client.reconcile())
  try {
    client.sweep()
  } catch (error) {
    errors.push(error)
  }
  await clock.advance(6_000)
  for (const stream of streams) await quietly(async () => stream?.end())
  await quietly(() => client.streamEnded('of-a-predecessor'))
  await clock.advance(1_000)
  const closing = client.close({ timeoutMs: 100 })
  await clock.advance(100)
  await closing
  await Promise.all(calls)
  await clock.settle()
  return { unhandled, strangeErrors: errors.filter((error) => !isKnown(error)), timers: clock.pendingCount, metrics: client.metrics() }
}

/** The result of {@link harmOf} if the callback did no harm. */
export const NO_HARM = {
  unhandled: [],
  strangeErrors: [],
  timers: 0,
  metrics: expect.objectContaining({
    leases: expect.objectContaining({ active: 0, waiting: 0 }),
    streams: expect.objectContaining({ live: 0 }),
  }),
}
