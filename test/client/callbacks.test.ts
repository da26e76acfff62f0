import type { OrchestratorClientOptions } from 'acestream-orchestrator-client'
import { GENERATIONS, ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it, vi } from 'vitest'
import { during, failureOf, setup } from '../support/setup.ts'
import { CALLBACKS, HOST_ERROR, harmOf, MISBEHAVIOURS, NO_HARM, noteUnhandled, silent, throwingThen, unreadableThen } from './callbacks.ts'

/** Each callback with two misbehaviours. The deep tests have every combination. */
const SOME = CALLBACKS.flatMap((callback, index) =>
  [index, index + 3].flatMap((at) => MISBEHAVIOURS.slice(at % MISBEHAVIOURS.length).slice(0, 1)).map((how) => ({ callback, how })),
)

describe('a callback of the host', () => {
  it.each(SOME.map(({ callback, how }) => [callback[0], how[0], callback, how] as const))(
    '%s that %s causes only known errors, and leaves no timer, lease or stream',
    async (_name, _how, callback, how) => {
      expect(await harmOf(callback, how)).toEqual(NO_HARM)
    },
  )
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

describe.each([
  ['a promise whose then throws', throwingThen],
  ['an object whose then cannot be read', unreadableThen],
] as const)('%s', (_, answer) => {
  it('fails neither listEngines() nor acquireEngine() if a cache returns it', async () => {
    const unhandled = noteUnhandled()
    const [get, set] = [vi.fn(answer), vi.fn(answer)]
    const { client, fake } = setup({ engines: 1 }, { cache: { get, set, delete: answer } as never, dialect: 'unversioned' })
    expect(await client.listEngines()).toHaveLength(1)
    expect((await client.acquireEngine()).engine.containerId).toBe(fake.engines[0]?.containerId)
    // Each call asks the cache once, finds no list in it, and requests one.
    expect([get.mock.calls.length, set.mock.calls.length, fake.counters.requests.total]).toEqual([2, 2, 2])
    expect(unhandled).toEqual([])
  })

  it.each(['mapEngine', 'rankEngines'] as const)(
    'makes the call reject with an error that names %s if that option returns it',
    async (name) => {
      const { client } = setup({ engines: 2 }, { [name]: answer })
      expect(await failureOf(client.acquireEngine())).toMatchObject({ code: 'INVALID_ARGUMENT', argument: name })
    },
  )
})

describe('an async listener', () => {
  it.each(['on', 'once'] as const)('is logged as an error if it rejects, also when it was added with %s()', async (method) => {
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
  it.each([7, -7, Number.NaN, Number.POSITIVE_INFINITY])('makes no retry wait longer than maxDelayMs if it returns %s', async (answer) => {
    const { client, fake, clock } = setup(
      { engines: 1 },
      { random: () => answer, retry: { attempts: 2, baseDelayMs: 1_000, maxDelayMs: 1_000 } },
    )
    fake.inject({ kind: 'refused', route: 'GET /streams' })
    const before = clock.now()
    expect(await during(clock, client.listStreams())).toEqual([])
    expect(clock.now() - before).toBeLessThanOrEqual(1_000)
  })
})

describe.each(GENERATIONS)('on %s', (generation) => {
  it.each([
    ['returns a function', () => Promise.reject as never],
    ['returns NaN', () => Number.NaN],
    [
      'throws',
      () => {
        throw new Error(HOST_ERROR)
      },
    ],
  ])('no lease leaks if now() of the clock of the host %s for a moment', async (_, answer) => {
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
