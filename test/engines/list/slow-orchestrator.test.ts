import type { OrchestratorClientOptions, Transport, TransportRequest } from 'acestream-orchestrator-client'
import { FakeOrchestrator, GENERATIONS, type Generation, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { connect, failureOf, playback } from '../../support/setup.ts'

/** A client of an orchestrator whose answers `hang()` delays. `outcome()` notes when a call settles, and with what. */
function slow(options: Partial<OrchestratorClientOptions> = {}, generation: Generation = '2025-10', engines = 3) {
  const clock = new ManualClock()
  const fake = new FakeOrchestrator({ clock, random: seededRandom(1), generation, engines, maxReplicas: engines })
  let lateMs = 0
  const transport: Transport = {
    request: async (request: TransportRequest) => {
      if (lateMs > 0) await new Promise<void>((resolve) => void clock.setTimeout(resolve, lateMs))
      return fake.request(request)
    },
  }
  const client = connect(fake, clock, { transport, requestTimeoutMs: 3_000, staleIfErrorMs: 60_000, sweepIntervalMs: 0, ...options })
  const outcome = <T>(work: Promise<T>) => {
    const seen: { at?: number; value?: T; error?: unknown } = {}
    const startedAt = clock.now()
    work.then(
      (value) => Object.assign(seen, { at: clock.now() - startedAt, value }),
      (error: unknown) => Object.assign(seen, { at: clock.now() - startedAt, error }),
    )
    return seen
  }
  const hang = (ms = 1_000_000): void => {
    lateMs = ms
  }
  return { clock, fake, client, hang, outcome }
}

describe.each(GENERATIONS)('while an orchestrator of %s hangs', (generation) => {
  it('a viewer gets an engine of the last list after exactly 300 ms, and a stream after 1 s', async () => {
    const { client, clock, hang, outcome } = slow({}, generation)
    await client.listEngines()
    await clock.advance(2_000)
    hang()
    const acquired = outcome(client.acquireEngine())
    await clock.advance(299)
    expect(acquired).toEqual({})
    await clock.advance(1)
    expect(acquired.at).toBe(300)
    const lease = acquired.value
    const started = outcome(lease?.startStream(playback()) ?? Promise.reject(new Error('no lease')))
    await clock.advance(999)
    expect(started).toEqual({})
    await clock.advance(1)
    expect([started.at, started.value?.state]).toEqual([1_000, 'announcing'])
    hang(0)
    await clock.advance(60_000)
    expect(started.value?.state).toBe('live')
  })
})

describe('while the orchestrator hangs', () => {
  it('a later viewer waits only for the rest of the 300 ms', async () => {
    const { client, clock, hang, outcome } = slow()
    await client.listEngines()
    await clock.advance(2_000)
    hang()
    const first = outcome(client.acquireEngine())
    await clock.advance(200)
    const second = outcome(client.acquireEngine())
    await clock.advance(100)
    const third = outcome(client.acquireEngine())
    await clock.settle()
    expect([first.at, second.at, third.at]).toEqual([300, 100, 0])
    expect(new Set([first, second, third].map(({ value }) => value?.engine.containerId)).size).toBe(3)
  })

  it('calls wait for refreshWaitMs, and not at all when it is 0', async () => {
    for (const refreshWaitMs of [0, 50, 1_200]) {
      const { client, clock, hang, outcome } = slow({ refreshWaitMs })
      await client.listEngines()
      await clock.advance(2_000)
      hang()
      const acquired = outcome(client.acquireEngine())
      const listed = outcome(client.listEngines())
      await clock.advance(2_000)
      expect([acquired.at, listed.at]).toEqual([refreshWaitMs, refreshWaitMs])
    }
  })

  it('a list is not served after staleIfErrorMs is over: the call rejects when its request times out', async () => {
    const { client, clock, hang, outcome } = slow({ staleIfErrorMs: 0, retry: { attempts: 1 } })
    await client.listEngines()
    await clock.advance(2_000)
    hang()
    const acquired = outcome(client.acquireEngine({ waitMs: 0 }))
    await clock.advance(3_000)
    expect(acquired).toMatchObject({ at: 3_000, error: { code: 'REQUEST_TIMEOUT' } })
  })

  it('a call with fresh: true waits for the answer', async () => {
    const { client, clock, hang, outcome } = slow()
    await client.listEngines()
    await clock.advance(2_000)
    hang(2_500)
    const listed = outcome(client.listEngines({ fresh: true }))
    await clock.advance(2_500)
    expect(listed).toMatchObject({ at: 2_500, value: [{}, {}, {}] })
  })

  it('[I1] an old list does not prove that all engines are full: a caller with waitMs 0 is rejected or served from the refresh', async () => {
    const { client, clock, fake, hang, outcome } = slow({}, '2025-10', 1)
    const lease = await client.acquireEngine()
    await clock.advance(2_000)
    hang(1_000)
    const refused = outcome(client.acquireEngine({ waitMs: 0, provision: false }))
    await clock.advance(999)
    expect(refused).toEqual({})
    await clock.advance(1)
    expect(refused).toMatchObject({ at: 1_000, error: { code: 'CAPACITY' } })
    const added = outcome(client.acquireEngine({ waitMs: 0, provision: false }))
    fake.addEngine()
    await clock.advance(3_000)
    expect(added).toMatchObject({ error: { code: 'CAPACITY' } }) // the last list is still fresh
    const served = outcome(client.acquireEngine({ waitMs: 0, provision: false }))
    await clock.advance(1_000)
    expect(served.at).toBe(1_000)
    await lease.release()
  })

  it('first come, first served: a slot that is freed during the refresh goes to the caller that came first', async () => {
    const { client, clock, hang, outcome } = slow({}, '2025-10', 1)
    const lease = await client.acquireEngine()
    await clock.advance(2_000)
    hang(2_000)
    const first = outcome(client.acquireEngine({ waitMs: 0, provision: false }))
    await clock.advance(500)
    await lease.release()
    const second = outcome(client.acquireEngine({ waitMs: 30_000, provision: false }))
    await clock.advance(1_500)
    expect(first).toMatchObject({ at: 500, value: { engine: {} } })
    expect(second).toEqual({})
    await first.value?.release()
    await clock.settle()
    expect(second.value?.engine).toBeDefined()
  })

  it('a caller that waits gets a freed slot at once', async () => {
    const { client, clock, hang, outcome } = slow({}, '2025-10', 1)
    const lease = await client.acquireEngine()
    await clock.advance(2_000)
    hang()
    const waiting = outcome(client.acquireEngine({ provision: false }))
    await clock.advance(500)
    await lease.release()
    await clock.settle()
    expect(waiting.at).toBe(500)
  })

  it('the list that arrives after 1 s is used by later calls', async () => {
    const { client, clock, fake, hang, outcome } = slow()
    await client.listEngines()
    fake.addEngine()
    await clock.advance(2_000)
    hang(1_000)
    const early = outcome(client.listEngines())
    await clock.advance(1_000)
    expect(early).toMatchObject({ at: 300 })
    expect(early.value).toHaveLength(3)
    expect(await client.listEngines()).toHaveLength(4)
    expect(fake.counters.requests.byRoute['GET /engines']).toBe(2)
    expect(clock.pendingCount).toBe(0)
  })

  it('streamStarted() with the address of an engine, but no container id, resolves after 1 s too', async () => {
    for (const options of [{}, { mapEngine: () => ({ host: '127.0.0.1', port: 7 }) }]) {
      const { client, clock, hang, outcome } = slow(options)
      hang()
      const started = outcome(client.streamStarted({ ...playback(), engine: { host: '127.0.0.1', port: 7 } }))
      await clock.advance(1_000)
      expect([started.at, started.value?.state]).toEqual([1_000, 'announcing'])
    }
  })

  it('a start resolves as announcing after startWaitMs', async () => {
    const { client, clock, hang, outcome } = slow({ startWaitMs: 250 })
    const lease = await client.acquireEngine()
    hang()
    const started = outcome(lease.startStream(playback()))
    await clock.advance(250)
    expect([started.at, started.value?.state]).toEqual([250, 'announcing'])
  })

  it('a stream whose start resolved as announcing gets the state refused when the start is rejected later', async () => {
    const { client, clock, fake, hang, outcome } = slow()
    const lease = await client.acquireEngine()
    const failed: unknown[] = []
    client.on('delivery:failed', (event) => failed.push(event))
    fake.inject({ kind: 'status', status: 422, route: 'POST /events/stream_started' })
    hang(1_500)
    const started = outcome(lease.startStream(playback()))
    await clock.advance(1_500)
    expect([started.at, started.value?.state]).toEqual([1_000, 'refused'])
    expect(failed).toMatchObject([{ event: 'started', error: { status: 422 } }])
  })

  it('a start that the orchestrator rejects within 1 s rejects, and leaves no timer', async () => {
    const { client, clock, fake, hang } = slow()
    const lease = await client.acquireEngine()
    fake.inject({ kind: 'status', status: 422, route: 'POST /events/stream_started' })
    hang(500)
    const before = clock.pendingCount
    const refused = failureOf(lease.startStream(playback()))
    await clock.advance(500)
    expect(await refused).toMatchObject({ status: 422 })
    expect(clock.pendingCount).toBe(before)
  })
})
