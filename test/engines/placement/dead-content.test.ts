import { type EngineLease, InvalidArgumentError } from 'acestream-orchestrator-client'
import { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { EjectionPolicy } from '../../../src/engines/placement/ejection.ts'
import { isUnreachable } from '../../../src/runtime/unreachable.ts'
import { during, failureOf, playback, setup } from '../../support/setup.ts'

const DEAD = 'd'.repeat(40)
const withCode = (code: string, cause?: unknown) => Object.assign(new Error(code, { cause }), { code })

/** Two engines, `a` and `b`, with 50 slots each. `ejected` collects the ids of engines that are ejected. */
function twoEngines() {
  const world = setup({ engines: 2 }, { maxStreamsPerEngine: 50, leaseTtlMs: 600_000 })
  const [a = '', b = ''] = world.fake.engines.map(({ containerId }) => containerId)
  const ejected: string[] = []
  world.client.on('engine:ejected', ({ containerId }) => ejected.push(containerId))
  const on = (id: string): Promise<EngineLease> => world.client.acquireEngine({ exclude: [id === a ? b : a], waitMs: 0 })
  const play = async (id: string, key: string, session: string): Promise<void> =>
    void (await (await on(id)).startStream(playback(key, session)))
  return { ...world, a, b, ejected, on, play }
}

describe('a dead content', () => {
  it('ejects no engine, though it fails 20 times on each of two', async () => {
    const { a, b, ejected, on } = twoEngines()
    for (let tries = 0; tries < 20; tries += 1) {
      await (await on(a)).fail(new Error('failed to load content'), { key: DEAD })
      await (await on(b)).fail(new Error('failed to load content'), { key: tries % 2 === 0 ? DEAD : DEAD.toUpperCase() })
    }
    expect(ejected).toEqual([])
  })

  it('causes one new engine, not three, when one viewer tries it six times and excludes the engines that failed', async () => {
    const { client, clock, fake } = setup({ engines: 1, maxReplicas: 20 })
    for (let tries = 0; tries < 6; tries += 1) {
      const first = await during(clock, client.acquireEngine())
      await first.fail(new Error('failed to load content'), { key: DEAD })
      const second = await during(clock, client.acquireEngine({ exclude: [first.engine.containerId] }))
      await second.fail(new Error('failed to load content'), { key: DEAD })
    }
    expect(fake.engines).toHaveLength(2)
  })

  it('counts as one failure of an engine: two failures of other contents after it eject the engine', async () => {
    const { a, ejected, on } = twoEngines()
    for (const key of [DEAD, DEAD, DEAD, 'one']) await (await on(a)).fail(new Error('no'), { key })
    expect(ejected).toEqual([])
    await (await on(a)).fail(new Error('no'), { key: 'two' })
    expect(ejected).toEqual([a])
  })

  it('counts each time when the host passes no key: three failures eject the engine', async () => {
    const { a, ejected, on } = twoEngines()
    for (let tries = 0; tries < 3; tries += 1) await (await on(a)).fail(new Error('no'))
    expect(ejected).toEqual([a])
  })
})

describe('a content that fails on engine a', () => {
  it('is not dead when it plays on engine b afterwards: all its failures count, and eject engine a', async () => {
    const { a, b, ejected, on, play } = twoEngines()
    for (let tries = 0; tries < 3; tries += 1) await (await on(a)).fail(new Error('500'), { key: DEAD })
    expect(ejected).toEqual([])
    await play(b, DEAD, 'session-1')
    expect(ejected).toEqual([a])
  })

  it('is not dead when it played on engine b before: each failure counts, and the third ejects engine a', async () => {
    const { a, b, ejected, on, play } = twoEngines()
    await play(b, DEAD, 'session-1')
    for (let tries = 0; tries < 3; tries += 1) await (await on(a)).fail(new Error('500'), { key: DEAD })
    expect(ejected).toEqual([a])
  })

  it('may be dead when it played on engine b ten minutes ago: five failures eject no engine', async () => {
    const { a, b, clock, ejected, on, play } = twoEngines()
    await play(b, DEAD, 'session-1')
    await clock.advance(601_000)
    for (let tries = 0; tries < 5; tries += 1) await (await on(a)).fail(new Error('500'), { key: DEAD })
    expect(ejected).toEqual([])
  })

  it('may be dead when it played only on engine a: five failures eject no engine', async () => {
    const { a, ejected, on, play } = twoEngines()
    await play(a, DEAD, 'session-1')
    for (let tries = 0; tries < 5; tries += 1) await (await on(a)).fail(new Error('500'), { key: DEAD })
    expect(ejected).toEqual([])
  })
})

describe('an engine that cannot be reached', () => {
  it('is ejected by three failures, though all are of one content', async () => {
    const { a, ejected, on } = twoEngines()
    for (let tries = 0; tries < 3; tries += 1) {
      await (await on(a)).fail(new Error('engine failed', { cause: withCode('ECONNREFUSED') }), { key: DEAD })
    }
    expect(ejected).toEqual([a])
  })

  it.each<[string, unknown]>([
    ['an unreachable host (EHOSTUNREACH)', withCode('EHOSTUNREACH')],
    ['a connect timeout of Node (ETIMEDOUT)', withCode('ETIMEDOUT')],
    ['an unknown host name (ENOTFOUND)', withCode('ENOTFOUND')],
    ['a connect timeout of undici', withCode('UND_ERR_CONNECT_TIMEOUT')],
    [
      'a refused connection as a nested cause',
      new Error('playback', { cause: new TypeError('fetch failed', { cause: withCode('ECONNREFUSED') }) }),
    ],
    ['an AggregateError of failed connects', new AggregateError([withCode('ECONNREFUSED'), withCode('EHOSTUNREACH')], 'all failed')],
    ['an AggregateError as a cause', new Error('x', { cause: new AggregateError([withCode('ECONNREFUSED')]) })],
  ])('is recognized by %s', (_, cause) => {
    expect(isUnreachable(cause)).toBe(true)
  })

  it.each<[string, unknown]>([
    ['a connection that was reset (ECONNRESET)', withCode('ECONNRESET')],
    ['an answer with status 500', new Error('answered 500')],
    ['an AggregateError in which one attempt did connect', new AggregateError([withCode('ECONNREFUSED'), withCode('ECONNRESET')])],
    ['no cause', undefined],
    ['a string', 'ECONNREFUSED'],
  ])('is not recognized by %s', (_, cause) => {
    expect(isUnreachable(cause)).toBe(false)
  })
})

describe('the memory of failures', () => {
  it('[I7] holds 100 contents for each engine: the oldest of 101 is forgotten, and counts again when it fails', async () => {
    const clock = new ManualClock()
    const policy = new EjectionPolicy(clock)
    const fail = (number: number) => policy.recordFailure('a', { key: `content ${number}`, isUnreachable: false })
    for (let number = 0; number <= 100; number += 1) {
      fail(number)
      await clock.advance(300_000) // any ejection is over by then
    }
    expect(fail(100)).toBeUndefined()
    expect(fail(0)).toMatchObject({ failures: 102 })
  })

  it('[I7] holds the last 1,000 contents that failed, and the last 100 engines on which each failed', () => {
    const policy = new EjectionPolicy(new ManualClock())
    const fail = (containerId: string, key: string) => policy.recordFailure(containerId, { key, isUnreachable: false })
    for (let index = 0; index <= 100; index += 1) fail(`engine ${index}`, 'everywhere')
    expect(policy.enginesFailedBy('everywhere')).toHaveLength(100)
    expect(policy.enginesFailedBy('everywhere')).not.toContain('engine 0')
    for (let index = 0; index < 999; index += 1) fail('a', `dead ${index}`)
    expect([policy.enginesFailedBy('everywhere').length, policy.enginesFailedBy('dead 0')]).toEqual([100, ['a']])
    fail('a', 'one more')
    expect([policy.enginesFailedBy('everywhere').length, policy.enginesFailedBy('dead 0')]).toEqual([0, ['a']])
  })

  it('[I7] holds the last 1,000 contents that played: a content that played before those may be dead', () => {
    const policy = new EjectionPolicy(new ManualClock())
    policy.recordSuccess('b', 'old')
    for (let index = 0; index < 1_000; index += 1) policy.recordSuccess('b', `alive ${index}`)
    const fail = () => policy.recordFailure('a', { key: 'old', isUnreachable: false })
    expect([fail(), fail(), fail(), fail()]).toEqual([undefined, undefined, undefined, undefined])
    policy.recordSuccess('b', 'young')
    const failYoung = () => policy.recordFailure('a', { key: 'young', isUnreachable: false })
    expect([failYoung(), failYoung()]).toEqual([undefined, expect.objectContaining({ containerId: 'a', failures: 3 })])
  })
})

describe('lease.fail()', () => {
  it.each([[{ key: '' }], [{ key: 7 }], ['key']])('rejects invalid options: %o', async (options) => {
    const { client } = setup({ engines: 1 })
    const lease = await client.acquireEngine()
    expect(await failureOf(lease.fail(new Error('no'), options as never))).toBeInstanceOf(InvalidArgumentError)
  })
})
