import { describe, expect, it, vi } from 'vitest'
import { during, failureOf, playback, setup } from '../support/setup.ts'

const boom = (): never => {
  throw new Error('the log is full')
}

describe('a mistake of the host', () => {
  it.each([
    ['a boolean', false],
    ['a BigInt, which JSON cannot hold', 1n],
  ])('an end whose reason is %s is delivered without a reason', async (_, reason) => {
    const { client, fake } = setup({ engines: 1 })
    const ended: unknown[] = []
    client.on('stream:ended', (event) => ended.push(event))
    const stream = await (await client.acquireEngine()).startStream(playback())
    expect(await stream.end(reason as never)).toEqual({ outcome: 'delivered', attempts: 1 })
    expect(fake.liveStreamIds()).toEqual([])
    expect(ended).toEqual([{ streamId: stream.id, outcome: 'delivered', reason: undefined }])
  })

  it('startStream() rejects a signal that is not an AbortSignal, and sends nothing', async () => {
    const { client, fake } = setup({ engines: 1 })
    const lease = await client.acquireEngine()
    expect(await failureOf(lease.startStream(playback(), { signal: {} as never }))).toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(fake.counters.startsApplied).toBe(0)
  })

  it.each<[what: string, options: object, message: string]>([
    ['mapEngine returns nothing', { mapEngine: () => {} }, 'mapEngine: expected a function that returns { host, port }, not a promise'],
    [
      'mapEngine returns a promise',
      { mapEngine: async () => {} },
      'mapEngine: expected a function that returns { host, port }, not a promise',
    ],
    [
      'rankEngines returns whether the first is better',
      { rankEngines: (a: { load: number }, b: { load: number }) => a.load < b.load },
      'rankEngines: expected a function that returns a number, not a promise or a boolean',
    ],
  ])('acquireEngine() says what a function of the host must return if %s', async (_, options, message) => {
    const { client } = setup({ engines: 2 }, options)
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ code: 'INVALID_ARGUMENT', message })
  })

  it('startStream() names leaseTtlMs if a lease has expired, which may be 60 by mistake for 60 s', async () => {
    const { client, clock } = setup({ engines: 1 }, { leaseTtlMs: 60 })
    const lease = await client.acquireEngine()
    await clock.advance(61)
    await client.acquireEngine()
    expect(await failureOf(lease.startStream(playback()))).toMatchObject({
      reason: 'lease_expired',
      message: expect.stringContaining('the lease expired (leaseTtlMs) or was released'),
    })
  })

  it.each(['listEngines', 'checkHealth', 'reconcile', 'flush', 'close'] as const)('%s() rejects null in place of options', async (name) => {
    const { client } = setup({ engines: 1 })
    expect(await failureOf((client[name] as (o: never) => Promise<unknown>)(null as never))).toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  it('listEngines() rejects a value of fresh that is not a boolean', async () => {
    const { client } = setup({ engines: 1 })
    expect(await failureOf(client.listEngines({ fresh: 'no' as never }))).toMatchObject({ code: 'INVALID_ARGUMENT', argument: 'fresh' })
  })

  it('on() rejects a listener that is not a function', () => {
    const { client } = setup({ engines: 1 })
    expect(() => client.on('engine:acquired', undefined as never)).toThrow()
  })

  it('a listener that rejects causes no unhandled rejection', async () => {
    const { client } = setup({ engines: 1 })
    const rejected = Promise.reject(new Error('async listener'))
    const then = vi.spyOn(rejected, 'then')
    client.on('engine:acquired', () => rejected as never)
    await client.acquireEngine()
    const handled = then.mock.calls.length
    rejected.catch(() => {})
    expect(handled).toBeGreaterThan(0)
  })

  it('a logger that throws fails neither listEngines() nor acquireEngine()', async () => {
    const logger = { debug: boom, info: boom, warn: boom, error: boom }
    const { client, fake, clock } = setup({ engines: 1 }, { logger, dialect: 'unversioned' })
    client.on('engine:acquired', boom)
    await client.listEngines()
    fake.inject({ kind: 'status', status: 500, times: Number.POSITIVE_INFINITY, route: 'GET /engines' })
    await clock.advance(3_000)
    expect(await client.listEngines()).toHaveLength(1)
    const lease = await client.acquireEngine()
    expect(lease.engine.port).toBeGreaterThan(0)
  })

  it('a logger that throws causes no unhandled rejection while engines are requested', async () => {
    const logger = { debug: boom, info: boom, warn: boom, error: boom }
    const { client, fake, clock } = setup({ engines: 1 }, { logger, dialect: 'unversioned' })
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'vpn_disconnected' })
    const unhandled: unknown[] = []
    const listener = (e: unknown) => unhandled.push(e)
    process.on('unhandledRejection', listener)
    const e = await during(clock, failureOf(client.acquireEngine({ waitMs: 5_000 })))
    await clock.settle()
    process.off('unhandledRejection', listener)
    expect([unhandled.length, (e as { code: string }).code]).toEqual([0, 'CAPACITY'])
  })

  it('nine viewers that fail in one incident eject the engine once, for 30 s', async () => {
    const { client, fake } = setup({ engines: 2 }, { maxStreamsPerEngine: 9 })
    const [, good] = fake.engines.map((e) => e.containerId)
    const ejections: number[] = []
    client.on('engine:ejected', ({ ejectedMs }) => void ejections.push(ejectedMs))
    const leases = await Promise.all(Array.from({ length: 9 }, () => client.acquireEngine({ exclude: [good ?? ''] })))
    for (const lease of leases) await lease.fail()
    expect(ejections).toEqual([30_000])
  })
})
