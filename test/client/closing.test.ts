import { ClientClosedError, OrchestratorClient } from 'acestream-orchestrator-client'
import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { during, failureOf, playback, setup } from '../support/setup.ts'

describe.each(GENERATIONS)('closing a client of %s', (generation) => {
  it('ends its two live streams, releases its lease, and reports two delivered ends', async () => {
    const { client, fake } = setup({ generation, engines: 3 })
    await (await client.acquireEngine()).startStream(playback('a'.repeat(40)))
    await (await client.acquireEngine()).startStream(playback('b'.repeat(40)))
    await client.acquireEngine()
    expect(await client.close()).toEqual({ delivered: 2, undelivered: [] })
    expect(fake.liveStreamIds()).toEqual([])
    expect(client.metrics()).toMatchObject({ leases: { active: 0 }, streams: { live: 0 }, events: { pending: 0 } })
  })
})

describe('closing a client', () => {
  it('[I8] leaves no timer of a lease, a waiting caller or a list request', async () => {
    const { client, clock } = setup({ engines: 1, latencyMs: 0 }, { healthIntervalMs: 30_000 })
    await client.acquireEngine()
    const waiting = failureOf(client.acquireEngine({ provision: false }))
    const stuck = client.listEngines({ fresh: true })
    await clock.advance(1)
    expect(clock.pendingCount).toBeGreaterThan(0)
    await client.close()
    await Promise.all([waiting, stuck.catch(() => undefined)])
    await clock.settle()
    expect(clock.pendingCount).toBe(0)
  })

  it('takes no longer than its time-out, and reports an end that could not be delivered', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { requestTimeoutMs: 60_000 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    fake.inject({ kind: 'lost-request', route: 'POST /events/stream_ended' })
    const before = clock.now()
    const closing = client.close({ timeoutMs: 2_000 })
    await clock.advance(2_000)
    expect(await closing).toEqual({ delivered: 0, undelivered: [{ streamId: stream.id, event: 'ended' }] })
    expect(clock.now() - before).toBe(2_000)
    await clock.settle()
    expect(clock.pendingCount).toBe(0)
  })

  it('reports an end that keeps failing', async () => {
    const { client, fake, clock } = setup({ engines: 1 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    fake.inject({ kind: 'refused', route: 'POST /events/stream_ended', times: Number.POSITIVE_INFINITY })
    expect(await during(clock, client.close())).toEqual({ delivered: 0, undelivered: [{ streamId: stream.id, event: 'ended' }] })
  })

  it('makes every later call reject with CLIENT_CLOSED, except those that never reject', async () => {
    const { client } = setup({ engines: 1 })
    const lease = await client.acquireEngine()
    const stream = await (await client.acquireEngine({ waitMs: 0 }).catch(() => lease)).startStream(playback())
    const [first, second] = await Promise.all([client.close(), client.close()])
    expect(second).toBe(first)
    const engine = { host: 'x', port: 1 }
    for (const call of [
      client.listEngines(),
      client.listStreams(),
      client.acquireEngine(),
      client.provisionEngine(),
      client.streamStarted({ ...playback(), engine }),
      client.checkHealth(),
      client.reconcile(),
      client.flush(),
    ]) {
      expect(await failureOf(call)).toBeInstanceOf(ClientClosedError)
    }
    expect(() => client.sweep()).toThrow(ClientClosedError)
    expect(await client.streamEnded('x')).toMatchObject({ outcome: 'undeliverable', error: { code: 'CLIENT_CLOSED' } })
    expect(await stream.end()).toMatchObject({ outcome: 'duplicate' })
    expect(client.health.status).toBe('unknown')
    expect(client.metrics().streams.live).toBe(0)
    expect(await client.close()).toBe(first)
  })

  it('makes startStream() of a held lease reject, and sends no start', async () => {
    const { client, fake } = setup({ engines: 1 })
    const lease = await client.acquireEngine()
    await client.close()
    expect(await failureOf(lease.startStream(playback()))).toBeInstanceOf(ClientClosedError)
    expect(fake.counters.startsApplied).toBe(0)
    await lease.release()
  })

  it('[I6] leaks no slot of an acquireEngine() that was reading the engine list', async () => {
    const { client, clock } = setup({ engines: 1, latencyMs: 100 })
    const acquiring = failureOf(client.acquireEngine())
    await clock.advance(50)
    const closing = client.close()
    await clock.advance(1_000)
    expect(await acquiring).toBeInstanceOf(ClientClosedError)
    await closing
    expect(client.metrics().leases.active).toBe(0)
  })

  it('ends a stream whose start is in flight, after that start', async () => {
    const { client, fake, clock } = setup({ engines: 1 })
    const lease = await client.acquireEngine()
    fake.latencyMs = 100
    const starting = lease.startStream(playback())
    await clock.advance(10)
    const closing = client.close()
    await clock.advance(1_000)
    expect(await closing).toEqual({ delivered: 1, undelivered: [] })
    expect((await starting).state).toBe('ended')
    expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1 })
    expect(fake.liveStreamIds()).toEqual([])
  })

  it('`await using` closes the client at the end of its block', async () => {
    const { fake, clock } = setup({ engines: 1 })
    const use = async () => {
      await using client = new OrchestratorClient({ baseUrl: 'http://o.test', apiKey: fake.apiKey, transport: fake, clock })
      await (await client.acquireEngine()).startStream(playback())
      return client
    }
    const client = await use()
    expect(fake.liveStreamIds()).toEqual([])
    expect(await failureOf(client.listEngines())).toBeInstanceOf(ClientClosedError)
  })

  it('flush() also waits for a start that was added meanwhile', async () => {
    const { client, fake, clock } = setup({ engines: 2 })
    const leases = [await client.acquireEngine(), await client.acquireEngine()]
    fake.latencyMs = 100
    const first = leases[0]?.startStream(playback('a'.repeat(40)))
    let isFlushed = false
    const flushing = client.flush().then(() => {
      isFlushed = true
    })
    await clock.advance(60)
    const second = leases[1]?.startStream(playback('b'.repeat(40)))
    await clock.advance(60)
    await first
    expect(isFlushed).toBe(false)
    await clock.advance(60)
    await second
    await flushing
    expect(client.metrics().events).toMatchObject({ pending: 0, started: 2 })
  })
})
