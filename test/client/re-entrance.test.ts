import {
  ClientClosedError,
  type ClientEventName,
  type EngineLease,
  type Logger,
  type OrchestratorClient,
} from 'acestream-orchestrator-client'
import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { laterStore } from '../support/later-store.ts'
import { during, playback, setup } from '../support/setup.ts'

const address = ({ host, port, containerId }: EngineLease['engine']) => ({ host, port, containerId })
const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

/** Makes every call that a listener may make. Each promise resolves to the value or the error of its call. */
function callsOf(client: OrchestratorClient, engine: { host: string; port: number }): readonly Promise<unknown>[] {
  const calls = [
    client.listEngines(),
    client.listEngines({ fresh: true }),
    client.listStreams(),
    client.acquireEngine(),
    client.provisionEngine(),
    client.streamStarted({ ...playback('e'.repeat(40)), engine }),
    client.checkHealth(),
    client.reconcile(),
    client.flush(),
  ]
  return [...calls.map((call) => call.catch((error: unknown) => error)), client.streamEnded('another').then(({ error }) => error)]
}

describe.each(GENERATIONS)('a client of %s that is closing', (generation) => {
  it.each(['engine:released', 'stream:ended'] as const)(
    'rejects every call from a listener of %s, and leaves no timer and no request',
    async (name) => {
      const { client, fake, clock } = setup({ generation, engines: 3 }, { healthIntervalMs: 30_000, reconcileIntervalMs: 30_000 })
      await (await client.acquireEngine()).startStream(playback())
      const lease = await client.acquireEngine()
      await clock.advance(2_000)
      const outcomes: Promise<unknown>[] = []
      let report: Promise<unknown> | undefined
      client.on(name, () => {
        report = client.close()
        outcomes.push(...callsOf(client, address(lease.engine)))
        expect(() => client.sweep()).toThrow(ClientClosedError)
      })
      const closing = client.close()
      expect(await closing).toEqual({ delivered: 1, undelivered: [] })
      expect(await report).toBe(await closing)
      await clock.settle()
      const requests = fake.counters.requests.total
      expect(clock.pendingCount).toBe(0)
      await clock.advance(600_000)
      expect([clock.pendingCount, fake.counters.requests.total]).toEqual([0, requests])
      expect(outcomes.length).toBeGreaterThanOrEqual(10)
      for (const outcome of outcomes) expect(await outcome).toBeInstanceOf(ClientClosedError)
    },
  )
})

describe.each(GENERATIONS)('on %s', (generation) => {
  it('a stream that a listener starts again on another engine is started after its old end', async () => {
    const { client, fake, clock } = setup({ generation, engines: 2, latencyMs: 20 })
    const [first, second] = await during(clock, Promise.all([client.acquireEngine(), client.acquireEngine()]))
    const stream = await during(clock, first.startStream({ ...playback(), streamId: 'again' }))
    let restarted: ReturnType<EngineLease['startStream']> | undefined
    client.once('engine:released', () => {
      restarted = second.startStream({ ...playback('a'.repeat(40), 'session-2'), streamId: 'again' })
    })
    const ended = stream.end()
    await during(clock, Promise.resolve(restarted))
    expect(await during(clock, ended)).toMatchObject({ outcome: 'delivered' })
    expect(fake.log.map(({ kind, containerId }) => [kind, containerId])).toEqual([
      ['started', first.engine.containerId],
      ['ended', first.engine.containerId],
      ['started', second.engine.containerId],
    ])
    expect([(await restarted)?.state, fake.liveStreamIds()]).toEqual(['live', ['again']])
  })

  it('[I1] a stream that a listener starts on the engine that was just freed is never counted together with the old stream', async () => {
    const { client, fake, clock } = setup({ generation, engines: 1, latencyMs: 20 })
    const lease = await during(clock, client.acquireEngine())
    const stream = await during(clock, lease.startStream({ ...playback(), streamId: 'first' }))
    fake.latencyMs = (route) => (route === 'POST /events/stream_ended' ? 400 : 20)
    let next: Promise<unknown> | undefined
    client.once('engine:released', () => {
      next = client.streamStarted({ ...playback('b'.repeat(40)), streamId: 'next', engine: address(lease.engine) })
    })
    await during(clock, stream.end())
    await during(clock, Promise.resolve(next))
    expect(fake.liveStreamIds()).toEqual(['next'])
    expect(fake.counters.peakTotalLoad).toEqual({ [lease.engine.containerId]: 1 })
  })
})

describe('the state of a client inside a listener', () => {
  it('a listener of engine:released or stream:lost can await the end of a lost stream, and one end is sent', async () => {
    const { client, fake, clock } = setup({ generation: 'v1', engines: 2 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    const ends: Promise<unknown>[] = []
    client.on('engine:released', () => ends.push(stream.end()))
    client.on('stream:lost', () => ends.push(stream.end()))
    fake.restart()
    await during(clock, client.reconcile())
    expect(await Promise.all(ends)).toMatchObject([{ outcome: 'delivered' }, { outcome: 'delivered' }])
    expect(fake.counters.requests.byRoute['POST /events/stream_ended']).toBe(1)
  })

  it('a lost stream that the host ends from its logger is ended once', async () => {
    const ends: Promise<unknown>[] = []
    const logger = { ...silent, warn: (message: string) => void (message.includes('gone') && ends.push(stream.end())) }
    const { client, fake, clock } = setup({ generation: 'v1', engines: 2 }, { logger })
    const stream = await (await client.acquireEngine()).startStream(playback())
    fake.restart()
    await during(clock, client.reconcile())
    expect(await Promise.all(ends)).toMatchObject([{ outcome: 'delivered' }])
    expect([stream.state, fake.counters.requests.byRoute['POST /events/stream_ended']]).toEqual(['lost', 1])
  })

  it('a listener of stream:ended finds the handle in the state ended, and the slot of a stream of a previous process free', async () => {
    const { client, fake } = setup({ engines: 2 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    const [other] = fake.engines.filter(({ containerId }) => containerId !== stream.engine.containerId)
    fake.startElsewhere({ containerId: other?.containerId ?? '', streamId: 'of-a-predecessor' })
    await client.listEngines({ fresh: true })
    const states: string[] = []
    const leases: Promise<EngineLease>[] = []
    client.on('stream:ended', ({ streamId }) => {
      if (streamId === stream.id) states.push(stream.state)
      else leases.push(client.acquireEngine({ waitMs: 0, provision: false }))
    })
    await client.streamEnded('of-a-predecessor')
    expect((await Promise.all(leases)).map(({ engine }) => engine.containerId)).toEqual([other?.containerId])
    await stream.end()
    expect(states).toEqual(['ended'])
  })

  it('a listener of engine:acquired finds that the caller with the new lease no longer counts as waiting', async () => {
    const { client, clock } = setup({ engines: 1 })
    const lease = await client.acquireEngine()
    const seen: unknown[] = []
    client.on('engine:acquired', () => seen.push(client.metrics().leases))
    const waiting = client.acquireEngine({ provision: false })
    await clock.settle()
    await lease.release()
    await waiting
    expect(seen).toMatchObject([{ waiting: 0, active: 1 }])
  })

  it('a listener of engines:refreshed gets the new list from listEngines()', async () => {
    const { client, fake } = setup({ engines: 1 })
    await client.listEngines()
    const seen: Promise<number>[] = []
    client.on('engines:refreshed', () => seen.push(client.listEngines().then(({ length }) => length)))
    fake.addEngine()
    await client.listEngines({ fresh: true })
    expect(await Promise.all(seen)).toEqual([2])
  })

  it('a listener of lease:expired finds that all leases with the same expiry are gone', async () => {
    const { client, clock } = setup({ engines: 3 }, { leaseTtlMs: 1_000 })
    for (let index = 0; index < 3; index += 1) await client.acquireEngine()
    const seen: number[] = []
    client.on('lease:expired', () => seen.push(client.metrics().leases.active))
    await clock.advance(1_000)
    expect(seen).toEqual([0, 0, 0])
  })

  it('a listener of provision:refused that acquires without waiting gets an error with the same reason', async () => {
    const { client, fake, clock } = setup({ generation: '2025-10', engines: 1 })
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'vpn_disconnected' })
    const seen: Promise<unknown>[] = []
    client.once('provision:refused', () => seen.push(client.acquireEngine({ waitMs: 0 }).catch((error: unknown) => error)))
    await during(
      clock,
      client.acquireEngine({ waitMs: 1_000 }).catch(() => {}),
    )
    expect(await Promise.all(seen)).toMatchObject([{ code: 'CAPACITY', reason: 'vpn_disconnected' }])
  })
})

const EVERY_EVENT: readonly ClientEventName[] = [
  'engines:refreshed',
  'engine:acquired',
  'engine:released',
  'engine:ejected',
  'lease:expired',
  'capacity:waiting',
  'provision:requested',
  'provision:completed',
  'provision:refused',
  'stream:started',
  'stream:ended',
  'stream:duplicate-end',
  'stream:reannounced',
  'stream:lost',
  'delivery:retry',
  'delivery:failed',
  'health:changed',
  'circuit:opened',
  'circuit:closed',
]

describe.each([
  ['synchronously', false],
  ['asynchronously', true],
])('with a store that answers %s', (_, isAsync) => {
  it.each(EVERY_EVENT)('a listener of %s that closes the client leaves no timer and no request', async (name) => {
    const { client, fake, clock } = setup({ generation: 'v1', engines: 2 }, { leaseTtlMs: 5_000, ...(isAsync && { store: laterStore(2) }) })
    let closing: Promise<unknown> | undefined
    client.on(name, () => {
      closing ??= client.close({ timeoutMs: 500 })
    })
    const quietly = async (work: () => Promise<unknown>): Promise<unknown> =>
      during(
        clock,
        work().catch(() => undefined),
      )
    await quietly(() => client.checkHealth())
    const stream = (await quietly(async () => (await client.acquireEngine()).startStream(playback()))) as
      | Awaited<ReturnType<EngineLease['startStream']>>
      | undefined
    for (let failures = 0; failures < 3; failures += 1) await quietly(async () => (await client.acquireEngine({ waitMs: 0 })).fail())
    await quietly(() => client.acquireEngine({ waitMs: 0 }))
    await quietly(() => client.acquireEngine({ waitMs: 60_000 }))
    fake.setProvisioning({ refuse: 'vpn_disconnected' })
    await quietly(() => client.provisionEngine())
    fake.inject({ kind: 'refused', times: 6 })
    await quietly(async () => stream?.end())
    await quietly(async () => stream?.end())
    const next = (await quietly(async () =>
      (await client.acquireEngine()).startStream({ ...playback(), streamId: 'next' }),
    )) as typeof stream
    fake.endElsewhere('next')
    await quietly(() => client.reconcile())
    fake.restart()
    await quietly(() => client.reconcile())
    fake.inject({ kind: 'status', status: 422, route: 'POST /events/stream_ended' })
    await quietly(() => client.streamEnded('another'))
    await quietly(async () => next?.end())
    expect(closing, `no ${name}`).toBeDefined()
    await clock.advance(500)
    await closing
    await clock.settle()
    const requests = fake.counters.requests.total
    await clock.advance(600_000)
    expect([clock.pendingCount, fake.counters.requests.total]).toEqual([0, requests])
    expect(client.metrics()).toMatchObject({ leases: { active: 0, waiting: 0 }, streams: { live: 0 } })
  })
})
