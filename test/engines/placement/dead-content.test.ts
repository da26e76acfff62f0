import { type EngineLease, InvalidArgumentError } from 'acestream-orchestrator-client'
import { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { EjectionPolicy } from '../../../src/engines/placement/ejection.ts'
import { isUnreachable } from '../../../src/runtime/connection-failure.ts'
import { during, failureOf, playback, setup } from '../../support/setup.ts'

const DEAD = 'd'.repeat(40)
const withCode = (code: string, cause?: unknown) => Object.assign(new Error(code, { cause }), { code })

/** Engines `a` and `b` with room for all, and what is ejected. */
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

describe('a dead channel', () => {
  it('ejects no engine, however often it is tried', async () => {
    const { a, b, ejected, on } = twoEngines()
    for (let tries = 0; tries < 20; tries += 1) {
      await (await on(a)).fail(new Error('failed to load content'), { key: DEAD })
      await (await on(b)).fail(new Error('failed to load content'), { key: tries % 2 === 0 ? DEAD : DEAD.toUpperCase() })
    }
    expect(ejected).toEqual([])
  })

  it('makes one engine, not three, when one viewer tries it six times and excludes the engines that failed', async () => {
    const { client, clock, fake } = setup({ engines: 1, maxReplicas: 20 })
    for (let tries = 0; tries < 6; tries += 1) {
      const first = await during(clock, client.acquireEngine())
      await first.fail(new Error('failed to load content'), { key: DEAD })
      const second = await during(clock, client.acquireEngine({ exclude: [first.engine.containerId] }))
      await second.fail(new Error('failed to load content'), { key: DEAD })
    }
    expect(fake.engines).toHaveLength(2)
  })

  it('counts once: two failures of other contents after it eject the engine', async () => {
    const { a, ejected, on } = twoEngines()
    for (const key of [DEAD, DEAD, DEAD, 'one']) await (await on(a)).fail(new Error('no'), { key })
    expect(ejected).toEqual([])
    await (await on(a)).fail(new Error('no'), { key: 'two' })
    expect(ejected).toEqual([a])
  })

  it('without a key counts each time, as ever', async () => {
    const { a, ejected, on } = twoEngines()
    for (let tries = 0; tries < 3; tries += 1) await (await on(a)).fail(new Error('no'))
    expect(ejected).toEqual([a])
  })
})

describe('a content that plays on another engine', () => {
  it('is not dead: what failed before counts in full', async () => {
    const { a, b, ejected, on, play } = twoEngines()
    for (let tries = 0; tries < 3; tries += 1) await (await on(a)).fail(new Error('500'), { key: DEAD })
    expect(ejected).toEqual([])
    await play(b, DEAD, 'session-1')
    expect(ejected).toEqual([a])
  })

  it('is not dead: what fails after that counts in full', async () => {
    const { a, b, ejected, on, play } = twoEngines()
    await play(b, DEAD, 'session-1')
    for (let tries = 0; tries < 3; tries += 1) await (await on(a)).fail(new Error('500'), { key: DEAD })
    expect(ejected).toEqual([a])
  })

  it('may be dead ten minutes later', async () => {
    const { a, b, clock, ejected, on, play } = twoEngines()
    await play(b, DEAD, 'session-1')
    await clock.advance(601_000)
    for (let tries = 0; tries < 5; tries += 1) await (await on(a)).fail(new Error('500'), { key: DEAD })
    expect(ejected).toEqual([])
  })

  it('but played only on the engine on which it fails proves nothing', async () => {
    const { a, ejected, on, play } = twoEngines()
    await play(a, DEAD, 'session-1')
    for (let tries = 0; tries < 5; tries += 1) await (await on(a)).fail(new Error('500'), { key: DEAD })
    expect(ejected).toEqual([])
  })
})

describe('an engine that cannot be reached', () => {
  it('is ejected by three failures of one content', async () => {
    const { a, ejected, on } = twoEngines()
    for (let tries = 0; tries < 3; tries += 1) {
      await (await on(a)).fail(new Error('engine failed', { cause: withCode('ECONNREFUSED') }), { key: DEAD })
    }
    expect(ejected).toEqual([a])
  })

  it.each<[string, unknown]>([
    ['a code of Node', withCode('EHOSTUNREACH')],
    ['a time-out of connecting', withCode('ETIMEDOUT')],
    ['a name that is not found', withCode('ENOTFOUND')],
    ['undici’s time-out of connecting', withCode('UND_ERR_CONNECT_TIMEOUT')],
    ['a nested cause', new Error('playback', { cause: new TypeError('fetch failed', { cause: withCode('ECONNREFUSED') }) })],
    ['an aggregate of refusals', new AggregateError([withCode('ECONNREFUSED'), withCode('EHOSTUNREACH')], 'all failed')],
    ['an aggregate as a cause', new Error('x', { cause: new AggregateError([withCode('ECONNREFUSED')]) })],
  ])('is known by %s', (_, cause) => {
    expect(isUnreachable(cause)).toBe(true)
  })

  it.each<[string, unknown]>([
    ['a broken connection', withCode('ECONNRESET')],
    ['an answer', new Error('answered 500')],
    ['an aggregate in which one attempt was connected', new AggregateError([withCode('ECONNREFUSED'), withCode('ECONNRESET')])],
    ['nothing', undefined],
    ['a text', 'ECONNREFUSED'],
  ])('is not known by %s', (_, cause) => {
    expect(isUnreachable(cause)).toBe(false)
  })
})

describe('what is remembered of failures', () => {
  it('[I7] is bounded: of more than 100 contents of one engine, the oldest counts again', async () => {
    const clock = new ManualClock()
    const book = new EjectionPolicy(clock)
    const fail = (number: number) => book.fail('a', { key: `content ${number}`, isUnreachable: false })
    for (let number = 0; number <= 100; number += 1) {
      fail(number)
      await clock.advance(300_000) // any ejection is over by then
    }
    expect(fail(100)).toBeUndefined()
    expect(fail(0)).toMatchObject({ failures: 102 })
  })

  it('[I7] is bounded: a content that played 1,000 contents ago proves nothing any more', () => {
    const book = new EjectionPolicy(new ManualClock())
    book.succeed('b', 'old')
    for (let index = 0; index < 1_000; index += 1) book.succeed('b', `alive ${index}`)
    const fail = () => book.fail('a', { key: 'old', isUnreachable: false })
    expect([fail(), fail(), fail(), fail()]).toEqual([undefined, undefined, undefined, undefined])
    book.succeed('b', 'young')
    const failYoung = () => book.fail('a', { key: 'young', isUnreachable: false })
    expect([failYoung(), failYoung()]).toEqual([undefined, expect.objectContaining({ containerId: 'a', failures: 3 })])
  })
})

describe('lease.fail()', () => {
  it.each([[{ key: '' }], [{ key: 7 }], ['key']])('rejects options that make no sense: %o', async (options) => {
    const { client } = setup({ engines: 1 })
    const lease = await client.acquireEngine()
    expect(await failureOf(lease.fail(new Error('no'), options as never))).toBeInstanceOf(InvalidArgumentError)
  })
})
