import { MemoryStore, type OrchestratorClientOptions, OrchestratorError, type StreamHandle } from 'acestream-orchestrator-client'
import { GENERATIONS, type Generation, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { MemoryCache } from '../../src/runtime/cache.ts'
import { during, failureOf, playback, setup } from '../support/setup.ts'

const HOST_ERROR = 'the host’s mistake'

/** What a callback may do instead of its work. */
const MISBEHAVIOURS: readonly (readonly [name: string, answer: () => unknown])[] = [
  [
    'throws',
    () => {
      throw new Error(HOST_ERROR)
    },
  ],
  ['rejects', () => Promise.reject(new Error(HOST_ERROR))],
  ['answers undefined', () => undefined],
  ['answers NaN', () => Number.NaN],
  ['answers 7', () => 7],
  ['answers a string', () => 'nonsense'],
  ['answers {}', () => ({})],
  ['answers a promise of nonsense', () => Promise.resolve('nonsense')],
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

const silent = { debug() {}, info() {}, warn() {}, error() {} }
const store = () => Object.assign(new MemoryStore(), { renewIntervalMs: 1_000, renew: () => {}, onSlotFreed: () => () => {} })
const STORE_METHODS = [
  ...['take', 'promote', 'occupy', 'releaseLease', 'releaseStream', 'expire', 'usage', 'claimEnd', 'unclaimEnd', 'endedAmong'],
  ...['forgetEnded', 'append', 'settle', 'recover', 'renew', 'onSlotFreed'],
]

type Break = (answer: () => unknown, real: { clock: ManualClock; transport: object }) => Partial<OrchestratorClientOptions>

const CALLBACKS: readonly (readonly [name: string, option: Break])[] = [
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

function noteUnhandled(): unknown[] {
  const unhandled: unknown[] = []
  const note = (reason: unknown): void => void unhandled.push(reason)
  process.on('unhandledRejection', note).on('uncaughtException', note)
  onTestFinished(() => void process.off('unhandledRejection', note).off('uncaughtException', note))
  return unhandled
}

/** One of our errors, or the host's own. */
const isKnown = (error: unknown): boolean => error instanceof OrchestratorError || (error instanceof Error && error.message === HOST_ERROR)

describe.each(CALLBACKS)('%s that', (name, option) => {
  it.each(MISBEHAVIOURS)('%s harms no more than the call that needed it', { timeout: 20_000 }, async (how, answer) => {
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
    /** Makes a call, and goes on without it where it takes longer than two seconds. All must have settled once the client is closed. */
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
    expect(unhandled).toEqual([])
    expect(errors.filter((error) => !isKnown(error))).toEqual([])
    expect(client.metrics()).toMatchObject({ leases: { active: 0, waiting: 0 }, streams: { live: 0 } })
    expect([how, clock.pendingCount]).toEqual([how, 0])
  })
})

describe('a mapEngine or rankEngines that is async', () => {
  it.each([
    ['mapEngine', { mapEngine: (async () => ({ host: 'x', port: 1 })) as never }],
    ['mapEngine', { mapEngine: (async () => Promise.reject(new Error(HOST_ERROR))) as never }],
    ['rankEngines', { rankEngines: (async () => 1) as never }],
    ['rankEngines', { rankEngines: (async () => Promise.reject(new Error(HOST_ERROR))) as never }],
  ] as const)('rejects the call with an error that names %s', async (name, options: Partial<OrchestratorClientOptions>) => {
    const unhandled = noteUnhandled()
    const { client } = setup({ engines: 2 }, options)
    for (let calls = 0; calls < 3; calls += 1) {
      expect(await failureOf(client.acquireEngine())).toMatchObject({ code: 'INVALID_ARGUMENT', argument: name })
    }
    expect([client.metrics().leases.active, unhandled]).toEqual([0, []])
  })
})

describe('a listener that is async', () => {
  it.each(['on', 'once'] as const)('and rejects is logged, when it was added with %s()', async (method) => {
    const unhandled = noteUnhandled()
    const logged: unknown[] = []
    const error = new Error(HOST_ERROR)
    const { client, clock } = setup({ engines: 1 }, { logger: { ...silent, error: (...line) => logged.push(line) } })
    client[method]('engine:acquired', (async () => Promise.reject(error)) as () => void)
    await client.acquireEngine()
    await clock.settle()
    expect(logged).toEqual([['A listener threw', { event: 'engine:acquired', error }]])
    expect(unhandled).toEqual([])
  })
})

describe('a source of randomness', () => {
  it.each([7, -7, Number.NaN, Number.POSITIVE_INFINITY])(
    'that answers %s still has retries wait no longer than they should',
    async (answer) => {
      const { client, fake, clock } = setup(
        { engines: 1 },
        { random: () => answer, retry: { attempts: 2, baseDelayMs: 1_000, maxDelayMs: 1_000 } },
      )
      fake.inject({ kind: 'refused', route: 'GET /streams' })
      const before = clock.now()
      expect(await during(clock, client.listStreams())).toEqual([])
      expect(clock.now() - before).toBeLessThanOrEqual(1_000)
    },
  )
})

describe.each(GENERATIONS)('a clock that fails on %s', (generation) => {
  it.each([
    ['throws', () => Promise.reject as never],
    ['answers NaN', () => Number.NaN],
  ])('for a moment, and %s, costs nobody an engine', async (_, answer) => {
    const clock = new ManualClock()
    let isBroken = false
    const own = { now: () => (isBroken ? (answer() as number) : clock.now()), setTimeout: clock.setTimeout.bind(clock) }
    const { client } = setup({ generation, engines: 2, clock }, { clock: own })
    const first = await client.acquireEngine()
    isBroken = true
    const second = await client.acquireEngine()
    isBroken = false
    await first.release()
    await second.release()
    expect(client.metrics().leases).toMatchObject({ active: 0, acquired: 2 })
  })
})
