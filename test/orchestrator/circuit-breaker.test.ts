import type { CircuitOpenError, OrchestratorClientOptions } from 'acestream-orchestrator-client'
import { type Fault, GENERATIONS, type Generation } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { mswServer, setupOnMsw } from '../support/msw.ts'
import { during, failureOf, playback } from '../support/setup.ts'

const server = mswServer()

const START = 'POST /events/stream_started'
const END = 'POST /events/stream_ended'
const refused: Fault = { kind: 'refused', times: Number.POSITIVE_INFINITY }

/** A client that does not retry reads, and the requests that it sent. `open` makes 5 requests for `GET /streams` fail, which opens the circuit. */
function world(options: Partial<OrchestratorClientOptions> = {}, generation: Generation = '2025-10') {
  const dialect = generation === '2025-10' ? { dialect: 'unversioned' as const } : {}
  const settings = { retry: { attempts: 1 }, sweepIntervalMs: 0, watch: false, ...dialect, ...options }
  const { clock, fake, client } = setupOnMsw(server, { generation, engines: 4 }, settings)
  const sent: string[] = []
  const handle = fake.handle.bind(fake)
  fake.handle = (request) => {
    sent.push(`${request.method} ${request.path.replace('/api/v1', '').replace(/\?.*/, '')}`)
    return handle(request)
  }
  const circuitEvents: unknown[] = []
  client.on('circuit:opened', (event) => circuitEvents.push({ opened: event }))
  client.on('circuit:closed', (event) => circuitEvents.push({ closed: event }))
  const state = () => client.metrics().circuit
  const fail = async (times: number, fault: Omit<Fault, 'route' | 'times'> = { kind: 'refused' }) => {
    fake.inject({ ...fault, route: 'GET /streams', times } as Fault)
    for (let i = 0; i < times; i += 1) await during(clock, failureOf(client.listStreams()))
  }
  const open = () => fail(5)
  return { clock, fake, client, sent, circuitEvents, state, fail, open }
}

describe('the circuit', () => {
  it.each<Omit<Fault, 'route' | 'times'>>([
    { kind: 'lost-request' },
    { kind: 'refused' },
    { kind: 'reset' },
    { kind: 'html' },
    ...[408, 425, 429, 500, 502, 503, 504].map((status) => ({ kind: 'status' as const, status })),
  ])('opens after five failures in a row: $kind $status', async (fault) => {
    const { fail, state, circuitEvents } = world()
    await fail(4, fault)
    expect([state(), circuitEvents]).toEqual(['closed', []])
    await fail(1, fault)
    expect([state(), circuitEvents]).toEqual(['open', [{ opened: { retryAfterMs: 10_000 } }]])
  })

  it.each<Omit<Fault, 'route' | 'times'>>([
    ...[307, 400, 401, 403, 404, 409, 422].map((status) => ({ kind: 'status' as const, status })),
    { kind: 'redirect' },
    { kind: 'garbage' },
    { kind: 'truncated' },
    { kind: 'empty' },
    { kind: 'oversized' },
  ])('stays closed while the orchestrator answers, even with a rejection or with garbage: $kind $status', async (fault) => {
    const { fail, state } = world()
    await fail(4)
    await fail(6, fault)
    await fail(4)
    expect(state()).toBe('closed')
  })

  it.each(GENERATIONS)('stays closed after 8 refusals of %s to start an engine, whatever their status', async (generation) => {
    const { client, fake, state, clock } = world({ provisionTimeoutMs: 1_000 }, generation)
    fake.setProvisioning({ refuse: 'vpn_disconnected' })
    for (let i = 0; i < 8; i += 1) {
      expect(await during(clock, failureOf(client.provisionEngine()))).toMatchObject({ code: 'CAPACITY' })
    }
    expect(state()).toBe('closed')
  })

  it('counts failures from 0 after a success', async () => {
    const { client, fail, state } = world()
    await fail(4)
    await client.listStreams()
    await fail(4)
    expect(state()).toBe('closed')
    await fail(1)
    expect(state()).toBe('open')
  })

  it('opens after failureThreshold failures and stays open for resetAfterMs', async () => {
    const { client, fail, state, clock } = world({ circuitBreaker: { failureThreshold: 2, resetAfterMs: 700 } })
    await fail(1)
    expect(state()).toBe('closed')
    await fail(1)
    expect(state()).toBe('open')
    await clock.advance(699)
    expect(await failureOf(client.listStreams())).toMatchObject({ code: 'CIRCUIT_OPEN', retryAfterMs: 1 })
    await clock.advance(1)
    expect(await client.listStreams()).toEqual([])
    expect(state()).toBe('closed')
  })

  it('never opens with circuitBreaker: false', async () => {
    const { client, fail, sent, state } = world({ circuitBreaker: false })
    await fail(50)
    expect([state(), sent.length]).toEqual(['closed', 50])
    expect(await client.listStreams()).toEqual([])
  })

  it('ignores requests that were sent before it opened: their success does not close it, their failure does not open it again', async () => {
    const { client, fake, clock, open, state, circuitEvents } = world({ requestTimeoutMs: 60_000 })
    fake.inject({ kind: 'delay', delayMs: 5_000, route: 'GET /streams', times: 3 })
    fake.inject({ kind: 'reset', delayMs: 15_000, route: 'GET /streams', times: 6 })
    const slow = Array.from({ length: 9 }, () => client.listStreams().catch((error: { code: string }) => error.code))
    await clock.advance(1_000)
    await open()
    await clock.advance(6_000)
    expect(await Promise.all(slow.slice(0, 3))).toEqual([[], [], []])
    expect(state()).toBe('open')
    await clock.advance(4_000)
    await client.listStreams()
    expect(state()).toBe('closed')
    await clock.advance(5_000)
    expect(await Promise.all(slow.slice(3))).toEqual(Array(6).fill('CONNECTION'))
    expect([state(), circuitEvents]).toEqual(['closed', [{ opened: { retryAfterMs: 10_000 } }, { closed: { openMs: 10_000 } }]])
  })
})

describe('while the circuit is open', () => {
  it('no request is sent, and every call that does not wait fails with the remaining time', async () => {
    const { client, clock, open, sent } = world()
    await open()
    const before = sent.length
    await clock.advance(2_500)
    for (const call of [
      () => client.listStreams(),
      () => client.listEngines(),
      () => client.checkHealth(),
      () => client.acquireEngine({ waitMs: 0 }),
      () => client.provisionEngine(),
      () => client.reconcile(),
    ]) {
      const error = (await failureOf(call())) as CircuitOpenError
      expect(error).toMatchObject({ code: 'CIRCUIT_OPEN', retryAfterMs: 7_500, retryable: true })
    }
    expect(sent).toHaveLength(before)
  })

  it('says for how many whole milliseconds nothing is sent', async () => {
    const { client, clock, open } = world()
    await open()
    await clock.advance(2_499.75)
    const error = (await failureOf(client.listStreams())) as CircuitOpenError
    expect(error.retryAfterMs).toBe(7_501)
    expect(error.message).toContain('nothing is sent for 7501 ms')
  })

  it('listEngines() returns the last list, and viewers still get engines from it', async () => {
    const { client, clock, open, sent } = world({ cacheTtlMs: 2_000, staleIfErrorMs: 30_000 })
    const list = await client.listEngines()
    await open()
    await clock.advance(5_000)
    const before = sent.length
    expect(await client.listEngines()).toBe(list)
    expect(await failureOf(client.listEngines({ fresh: true }))).toMatchObject({ code: 'CIRCUIT_OPEN' })
    expect((await client.acquireEngine({ waitMs: 0 })).isFallback).toBe(false)
    expect([sent.length, client.metrics().engineCache.stale]).toEqual([before, 2])
  })

  it('acquireEngine() grants the fallback engine if no list is cached', async () => {
    const { client, open } = world({ fallbackEngine: { host: 'fallback', port: 1 } })
    await open()
    expect((await client.acquireEngine()).isFallback).toBe(true)
  })

  it('no timer runs and no request is sent for an hour if no caller waits', async () => {
    const { clock, open, sent, state } = world()
    await open()
    const before = sent.length
    expect(clock.pendingCount).toBe(0)
    await clock.advance(3_600_000)
    expect([sent.length, clock.pendingCount, state()]).toEqual([before, 0, 'half-open'])
  })

  it('50 pending events share one timer for the probe', async () => {
    const { client, clock, open } = world({ maxStreamsPerEngine: 100, watch: false })
    await client.listEngines()
    await open()
    for (let i = 0; i < 50; i += 1) await (await client.acquireEngine()).startStream({ ...playback(), streamId: `s${i}` })
    // One timer for the deadline of each event, one for expired leases, and one for the probe.
    expect(clock.pendingCount).toBe(52)
    expect(client.metrics().events.pending).toBe(50)
  })

  it.each(GENERATIONS)('events for %s stay pending, and are sent in order after the circuit has closed', async (generation) => {
    const { client, fake, clock, open, sent, state } = world({ cacheTtlMs: 60_000, reconcileIntervalMs: 30_000 }, generation)
    const watch = async (streamId: string) => (await client.acquireEngine()).startStream({ ...playback(streamId), streamId })
    const before = [await watch('a'), await watch('b')]
    fake.inject(refused)
    await open()
    const sentBefore = sent.length
    const ends = before.map((stream) => stream.end())
    await watch('c')
    await watch('a')
    const unsent = await watch('d')
    expect(await unsent.end()).toMatchObject({ outcome: 'not-announced' })
    await clock.advance(9_999)
    expect([sent.length, state(), client.metrics().events.pending]).toEqual([sentBefore, 'open', 4])
    fake.clearFaults()
    await clock.advance(10_000)
    expect(await Promise.all(ends)).toMatchObject([{ outcome: 'delivered' }, { outcome: 'delivered' }])
    expect(fake.liveStreamIds().toSorted()).toEqual(['a', 'c'])
    expect(fake.log.filter(({ streamId }) => streamId === 'a').map(({ kind }) => kind)).toEqual(['started', 'ended', 'started'])
    expect(sent.filter((route) => route === END)).toHaveLength(2)
    expect(Object.values(fake.counters.peakLoad).every((load) => load === 1)).toBe(true)
    expect(client.metrics().events).toMatchObject({ started: 4, ended: 2, pending: 0, retried: 0 })
  })
})

describe('a half-open circuit', () => {
  it.each(GENERATIONS)('sends one read to %s as its probe while 20 calls wait, and the probe changes nothing there', async (generation) => {
    const { client, fake, clock, open, sent, state, circuitEvents } = world({ maxStreamsPerEngine: 50 }, generation)
    const list = await client.listEngines()
    fake.startElsewhere({ containerId: list[0]?.containerId ?? '' })
    await open()
    for (let i = 0; i < 20; i += 1) await (await client.acquireEngine()).startStream({ ...playback(), streamId: `s${i}` })
    const before = { sent: sent.length, counters: fake.counters, streams: fake.streams, engines: fake.engines }
    fake.latencyMs = 500
    await clock.advance(10_000)
    const reads = Array.from({ length: 20 }, () => client.listStreams())
    const stale = Array.from({ length: 20 }, () => client.listEngines())
    await clock.settle()
    expect(state()).toBe('half-open')
    for (const engines of await Promise.all(stale)) expect(engines).toBe(list) // a call that can return the old list does not wait for the probe
    await clock.advance(499)
    expect(sent.slice(before.sent)).toEqual(['GET /engines'])
    expect({ ...fake.counters, requests: 0 }).toEqual({ ...before.counters, requests: 0 })
    expect([fake.streams, fake.engines]).toEqual([before.streams, before.engines])
    await clock.advance(1)
    expect(state()).toBe('closed')
    expect(circuitEvents).toEqual([{ opened: { retryAfterMs: 10_000 } }, { closed: { openMs: 10_500 } }])
    await during(clock, Promise.all(reads))
    await clock.advance(10_000)
    expect(fake.counters.startsApplied).toBe(20)
  })

  it('opens for another 10 s whenever the probe fails, and emits circuit:closed only when it has closed', async () => {
    const { client, fake, clock, open, sent, state, circuitEvents } = world()
    await client.listEngines()
    fake.inject(refused)
    await open()
    const stream = await (await client.acquireEngine()).startStream(playback())
    const before = sent.length
    for (let round = 1; round <= 6; round += 1) {
      await clock.advance(9_999)
      expect([sent.length - before, state()]).toEqual([round - 1, 'open'])
      await clock.advance(1)
      expect([sent.length - before, state()]).toEqual([round, 'open'])
      expect(await failureOf(client.listStreams())).toMatchObject({ code: 'CIRCUIT_OPEN', retryAfterMs: 10_000 })
    }
    expect(new Set(sent.slice(before))).toEqual(new Set(['GET /engines']))
    fake.clearFaults()
    await clock.advance(10_000)
    expect([state(), stream.state, fake.counters.startsApplied]).toEqual(['closed', 'live', 1])
    expect(circuitEvents).toEqual([{ opened: { retryAfterMs: 10_000 } }, { closed: { openMs: 70_000 } }])
  })

  it('closes if the probe is answered with 401, because the orchestrator is reachable', async () => {
    const { client, fake, clock, open, state } = world()
    await open()
    fake.inject({ kind: 'status', status: 401, route: 'GET /engines' })
    await clock.advance(10_000)
    expect(await client.listStreams()).toEqual([])
    expect(state()).toBe('closed')
  })

  it('rejects the waiting calls when the probe fails, and rejects an aborted call at once', async () => {
    const { client, fake, clock, open, sent } = world()
    await open()
    fake.inject({ kind: 'lost-request', route: 'GET /engines' })
    await clock.advance(10_000)
    const before = sent.length
    const abort = new AbortController()
    const leaving = failureOf(client.listStreams({}, { signal: abort.signal }))
    const waiting = failureOf(client.listStreams())
    await clock.advance(1_000)
    abort.abort('viewer left')
    expect(await leaving).toBe('viewer left')
    await clock.advance(2_000)
    expect(await waiting).toMatchObject({ code: 'CIRCUIT_OPEN', retryAfterMs: 10_000 })
    expect(sent.slice(before)).toEqual(['GET /engines'])
  })

  it('leaves no timer when the client closes', async () => {
    const { client, clock, open, fake } = world()
    await client.listEngines()
    await open()
    await (await client.acquireEngine()).startStream(playback())
    fake.inject({ kind: 'lost-request', route: 'GET /engines' })
    await clock.advance(10_500)
    expect(fake.counters.requests.byRoute[START]).toBeUndefined()
    await during(clock, client.close({ timeoutMs: 100 }))
    await clock.settle()
    expect(clock.pendingCount).toBe(0)
  })
})
