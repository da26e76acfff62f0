import { CapacityError, type ClientEventName, type OrchestratorClient } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { during, failureOf, playback, setup } from '../support/setup.ts'

/** All events except those of lists, refused callers, requests and health, which have their own tests. */
const NAMES = [
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
  'circuit:opened',
  'circuit:closed',
] as const satisfies ClientEventName[]

/** Records the events of a client in order. */
function listen(client: OrchestratorClient): [ClientEventName, unknown][] {
  const emitted: [ClientEventName, unknown][] = []
  for (const name of NAMES) client.on(name, (event: unknown) => emitted.push([name, event]))
  return emitted
}

describe('the events of a client', () => {
  it('report a viewer: engine acquired, stream started, slot released, stream ended, duplicate end', async () => {
    const { client, clock } = setup({ engines: 1 })
    const emitted = listen(client)
    const lease = await client.acquireEngine()
    const { containerId } = lease.engine
    const { id: streamId, ...stream } = await lease.startStream(playback()).then((handle) => ({
      id: handle.id,
      end: handle.end.bind(handle),
    }))
    await clock.advance(1_000)
    await stream.end('viewer left')
    await stream.end('viewer left again')
    expect(emitted).toEqual([
      ['engine:acquired', { leaseId: lease.id, containerId, waitedMs: 0 }],
      ['stream:started', { streamId, containerId, durationMs: 0 }],
      ['engine:released', { containerId, streamId }],
      ['stream:ended', { streamId, outcome: 'delivered', reason: 'viewer left' }],
      ['stream:duplicate-end', { streamId }],
    ])
  })

  it('report a lease: its time in the wait queue, its release, its failure and its expiry', async () => {
    const { client, clock } = setup({ engines: 1 }, { leaseTtlMs: 10_000 })
    const first = await client.acquireEngine()
    const { containerId } = first.engine
    const emitted = listen(client)
    const waiting = client.acquireEngine({ provision: false })
    await clock.advance(1_500)
    await first.release()
    const second = await waiting
    await second.fail(new Error('hangs'))
    const third = await client.acquireEngine()
    await clock.advance(10_000)
    await third.release() // no event, since it has expired
    expect(emitted).toEqual([
      ['capacity:waiting', { waiting: 1 }],
      ['engine:released', { containerId, leaseId: first.id }],
      ['engine:acquired', { leaseId: second.id, containerId, waitedMs: 1_500 }],
      ['engine:released', { containerId, leaseId: second.id }],
      ['engine:acquired', { leaseId: third.id, containerId, waitedMs: 0 }],
      ['lease:expired', { leaseId: third.id, containerId }],
    ])
  })

  it('report an ejected engine with its container id, number of failures, duration and cause', async () => {
    const { client, fake } = setup({ engines: 2 }, { maxStreamsPerEngine: 5 })
    const [bad, good] = fake.engines.map((engine) => engine.containerId)
    const ejections: unknown[] = []
    client.on('engine:ejected', (event) => ejections.push(event))
    const cause = new Error('hangs')
    for (let i = 0; i < 3; i += 1) await (await client.acquireEngine({ exclude: [good ?? ''] })).fail(cause)
    expect(ejections).toEqual([{ containerId: bad, failures: 3, ejectedMs: 30_000, cause }])
  })

  it('report the number of waiting callers each time one joins the wait queue', async () => {
    const { client, clock } = setup({ engines: 1 })
    await client.acquireEngine()
    const emitted = listen(client)
    const waiting = [1, 2, 3].map(() => failureOf(client.acquireEngine({ provision: false, waitMs: 1_000 })))
    await clock.advance(1_000)
    await Promise.all(waiting)
    expect(emitted).toEqual([1, 2, 3].map((count) => ['capacity:waiting', { waiting: count }]))
  })

  it('report a new engine: the request with its number of waiting callers, the completion with its duration', async () => {
    const { client, clock } = setup({ engines: 1, provisionDelayMs: 4_000 })
    await client.acquireEngine()
    const emitted = listen(client)
    const lease = await during(clock, client.acquireEngine())
    await clock.settle()
    const { containerId } = lease.engine
    const provisioning = emitted.filter(([name]) => name.startsWith('provision:'))
    expect(provisioning).toEqual([
      ['provision:requested', { waiting: 1 }],
      ['provision:completed', { containerId, durationMs: 4_000 }],
    ])
  })

  it('report a refused request for an engine with the error that says why', async () => {
    const { client, clock, fake } = setup({ engines: 1 })
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'vpn_disconnected' })
    const emitted = listen(client)
    await during(clock, failureOf(client.acquireEngine({ waitMs: 2_000 })))
    const refusals = emitted.filter(([name]) => name === 'provision:refused')
    expect(refusals).toEqual([['provision:refused', { error: expect.any(CapacityError) }]])
    expect(refusals[0]?.[1]).toMatchObject({ error: { reason: 'vpn_disconnected' } })
  })

  it('report a rejected start only as a released slot', async () => {
    const { client, fake } = setup({ engines: 1 })
    const lease = await client.acquireEngine()
    const emitted = listen(client)
    fake.inject({ kind: 'status', status: 422, body: '{"detail":[]}', route: 'POST /events/stream_started' })
    await failureOf(lease.startStream({ ...playback(), streamId: 'x' }))
    expect(emitted).toEqual([['engine:released', { containerId: lease.engine.containerId, streamId: 'x' }]])
  })

  it('report a start that was not delivered as retried and as failed, and its end as not-announced', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { deliveryTimeoutMs: 0 })
    const lease = await client.acquireEngine()
    const emitted = listen(client)
    fake.inject({ kind: 'refused', route: 'POST /events/stream_started' })
    const stream = await lease.startStream({ ...playback(), streamId: 'x' })
    await clock.advance(1)
    await stream.end()
    expect(emitted).toMatchObject([
      ['delivery:retry', { streamId: 'x', event: 'started', attempt: 1, error: { code: 'CONNECTION' } }],
      ['delivery:failed', { streamId: 'x', event: 'started', error: { code: 'CONNECTION', maybeProcessed: false } }],
      ['engine:released', { streamId: 'x' }],
      ['stream:ended', { streamId: 'x', outcome: 'not-announced' }],
    ])
  })

  it('report each new engine list with its engine count and duration, and no failed request', async () => {
    const { client, fake, clock } = setup({ engines: 4, latencyMs: 200 }, { dialect: 'unversioned' })
    const refreshed: unknown[] = []
    client.on('engines:refreshed', (event) => refreshed.push(event))
    await during(clock, client.listEngines())
    await client.listEngines()
    fake.inject({ kind: 'garbage' })
    await clock.advance(2_000)
    await during(clock, client.listEngines())
    expect(refreshed).toEqual([{ engineCount: 4, durationMs: 200 }])
  })

  it('report a caller that got no engine: how long it waited and what the call threw', async () => {
    const { client, clock } = setup({ engines: 1 })
    await client.acquireEngine()
    const refused: unknown[] = []
    client.on('engine:refused', (event) => refused.push(event))
    const controller = new AbortController()
    const reason = new Error('viewer left')
    const calls = [
      client.acquireEngine({ provision: false, waitMs: 2_000 }),
      client.acquireEngine({ provision: false, signal: controller.signal }),
    ]
    const errors = Promise.all(calls.map(failureOf))
    await clock.advance(500)
    controller.abort(reason)
    await clock.advance(1_500)
    const [error] = await errors
    expect(refused).toEqual([
      { waitedMs: 500, error: reason },
      { waitedMs: 2_000, error },
    ])
    expect(error).toBeInstanceOf(CapacityError)
  })

  it('report an acquire of openStream that got no engine', async () => {
    const { client } = setup({ engines: 1 })
    await client.acquireEngine()
    const refused: unknown[] = []
    client.on('engine:refused', (event) => refused.push(event))
    const open = () => Promise.reject(new Error('not called'))
    const error = await failureOf(client.openStream({ keyType: 'infohash', key: 'a'.repeat(40), waitMs: 0, provision: false, open }))
    expect(refused).toEqual([{ waitedMs: 0, error }])
  })

  it('report a start with the time from the call to the acknowledgement, through the attempts that failed', async () => {
    const { client, fake, clock } = setup({ engines: 1, latencyMs: 100 }, { retry: { baseDelayMs: 1_000 } })
    const lease = await during(clock, client.acquireEngine())
    const startedAt = clock.now()
    const started: number[] = []
    client.on('stream:started', ({ durationMs }) => started.push(durationMs, clock.now() - startedAt))
    const attempts: number[] = []
    client.on('request:finished', ({ route, attempt }) => route === 'POST /events/stream_started' && attempts.push(attempt))
    fake.inject({ kind: 'refused', route: 'POST /events/stream_started', times: 2 })
    await during(clock, lease.startStream(playback()))
    await clock.advance(10_000)
    expect(started[0]).toBe(started[1])
    expect(started[0]).toBeGreaterThan(100)
    expect(attempts).toEqual([1, 2, 3])
  })

  it('report each attempt at a request: where it went, how long it took, and how it ended', async () => {
    const { client, fake, clock } = setup({ engines: 1, latencyMs: 30 }, { dialect: 'unversioned', requestTimeoutMs: 1_000 })
    const finished: unknown[] = []
    client.on('request:finished', (event) => finished.push(event))
    fake.inject({ kind: 'status', status: 500, route: 'GET /streams' })
    fake.inject({ kind: 'lost-request', route: 'GET /streams' })
    await during(clock, client.listStreams({ status: 'started' }), 10)
    const request = { route: 'GET /streams', method: 'GET', url: 'http://orchestrator.test/streams' }
    expect(finished).toEqual([
      { ...request, status: 500, durationMs: 30, attempt: 1, error: expect.objectContaining({ code: 'RESPONSE' }) },
      { ...request, durationMs: 1_000, attempt: 2, error: expect.objectContaining({ code: 'REQUEST_TIMEOUT' }) },
      { ...request, status: 200, durationMs: 30, attempt: 3 },
    ])
  })

  it('report the request of the event stream when its answer has begun', async () => {
    const { client, clock } = setup({ engines: 1, generation: 'v1' })
    const finished: unknown[] = []
    client.on('request:finished', (event) => finished.push(event))
    await client.acquireEngine()
    await clock.advance(5_000)
    const pushes = { route: 'GET /events/stream', method: 'GET', url: 'http://orchestrator.test/api/v1/events/stream', attempt: 1 }
    expect(finished).toContainEqual({ ...pushes, status: 200, durationMs: 0 })
  })

  it('report an end by id of a stream that another process started with its outcome and reason', async () => {
    const { client, fake } = setup({ generation: '2026-04', engines: 1 })
    fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '', streamId: 'theirs' })
    const emitted = listen(client)
    await client.streamEnded('theirs', 'predecessor died')
    await client.streamEnded('unknown')
    await client.streamEnded('unknown')
    expect(emitted).toEqual([
      ['stream:ended', { streamId: 'theirs', outcome: 'delivered', reason: 'predecessor died' }],
      ['stream:ended', { streamId: 'unknown', outcome: 'unknown' }],
      ['stream:duplicate-end', { streamId: 'unknown' }],
    ])
  })
})
