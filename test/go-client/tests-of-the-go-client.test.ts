import { OrchestratorClient, type OrchestratorClientOptions } from 'acestream-orchestrator-client'
import { createHandlers, FakeOrchestrator, GENERATIONS, ManualClock } from 'acestream-orchestrator-client/testing'
import { setupServer } from 'msw/node'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { failureOf, playback } from '../support/setup.ts'

/**
 * The seven tests of the Go client, under their names. Each of them was written after the Go client had lost viewers by that failure.
 * Here they run over `fetch`, with the system's clock; msw mocks the network.
 */
const baseUrl = 'http://orchestrator.test:8000'
const server = setupServer()

beforeAll(() => server.listen({ onUnhandledFrame: 'error' }))
afterEach(() => server.resetHandlers())
afterAll(() => server.close())

describe.each(GENERATIONS)('a test of the Go client, on %s:', (generation) => {
  function start(engines: number, options: Partial<OrchestratorClientOptions> = {}) {
    const fake = new FakeOrchestrator({ generation, engines })
    server.use(...createHandlers(fake, baseUrl))
    const client = new OrchestratorClient({ baseUrl, apiKey: fake.apiKey, ...options })
    onTestFinished(async () => void (await client.close()))
    const requests = (route: string) => fake.counters.requests.byRoute[route] ?? 0
    return { client, fake, requests }
  }

  it('end idempotency: 10 concurrent ends make 1 request', async () => {
    const { client, requests } = start(1)
    const stream = await (await client.acquireEngine()).startStream(playback())
    const results = await Promise.all(Array.from({ length: 10 }, () => client.streamEnded(stream.id, 'test')))
    expect(requests('POST /events/stream_ended')).toBe(1)
    expect(results.map(({ outcome }) => outcome).toSorted()).toEqual(['delivered', ...Array.from({ length: 9 }, () => 'duplicate')])
  })

  it('engine list caching: 20 concurrent calls make 1 request, even with an empty cache', async () => {
    const { client, requests } = start(3)
    const dialectRequests = generation === 'v1' ? 1 : 0 // the request that detects v1 uses the path of the list
    await Promise.all(Array.from({ length: 20 }, () => client.listEngines()))
    expect(requests('GET /engines')).toBe(1 + dialectRequests + (generation === '2026-04' ? 1 : 0))
    await Promise.all(Array.from({ length: 20 }, () => client.listEngines()))
    expect(requests('GET /engines')).toBe(1 + dialectRequests + (generation === '2026-04' ? 1 : 0))
  })

  it('event ordering: a start is sent before its end', async () => {
    const { client, fake } = start(1)
    const lease = await client.acquireEngine()
    const starting = lease.startStream({ ...playback(), streamId: 'ordered' })
    await Promise.resolve()
    const ending = client.streamEnded('ordered')
    await Promise.all([starting, ending])
    expect(fake.log.map(({ kind, streamId }) => [kind, streamId])).toEqual([
      ['started', 'ordered'],
      ['ended', 'ordered'],
    ])
  })

  it('cleanup monitor: the client forgets ended ids without a call of sweep()', async () => {
    const clock = new ManualClock()
    const { client } = start(1, { clock, endedRetentionMs: 60_000, sweepIntervalMs: 20_000, healthIntervalMs: 0 })
    for (const id of ['a', 'b', 'c']) await client.streamEnded(id)
    await clock.advance(40_000)
    expect(client.sweep().forgottenStreams).toBe(0)
    await clock.advance(20_000)
    expect(client.sweep().forgottenStreams).toBe(0) // the periodic sweep has forgotten them
    expect((await client.streamEnded('a')).outcome).not.toBe('duplicate')
  })

  it('empty stream id: an end without an id is rejected, and nothing is sent', async () => {
    const { client, fake } = start(1)
    const before = fake.counters.requests.total
    expect(await client.streamEnded('')).toMatchObject({ outcome: 'undeliverable', error: { code: 'INVALID_ARGUMENT' } })
    expect(fake.counters.requests.total).toBe(before)
  })

  it('pending stream tracking: 5 concurrent callers get exactly 2 leases on one engine with a limit of 2', async () => {
    const { client } = start(1, { maxStreamsPerEngine: 2 })
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => client.acquireEngine({ waitMs: 0 })))
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(2)
    expect(client.metrics().leases.active).toBe(2)
  })

  it('pending stream tracking: 5 concurrent callers get exactly 4 leases on two engines with a limit of 2', async () => {
    const { client } = start(2, { maxStreamsPerEngine: 2 })
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => client.acquireEngine({ waitMs: 0 })))
    const leases = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    expect(leases).toHaveLength(4)
    for (const { engine } of leases) expect(leases.filter((lease) => lease.engine.containerId === engine.containerId)).toHaveLength(2)
  })

  it('pending stream release: a released slot can be acquired again', async () => {
    const { client } = start(1)
    const lease = await client.acquireEngine()
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ code: 'CAPACITY' })
    await lease.release()
    await client.acquireEngine({ waitMs: 0 })
  })
})
