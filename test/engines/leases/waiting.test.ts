import { getEventListeners } from 'node:events'
import { ClientClosedError, type EngineLease } from 'acestream-orchestrator-client'
import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { distantStore } from '../../support/later-store.ts'
import { during, failureOf, playback, setup } from '../../support/setup.ts'

const wait = { provision: false } as const

describe.each(GENERATIONS)('waiting for an engine of %s', (generation) => {
  it('is first come, first served', async () => {
    const { client, clock } = setup({ generation, engines: 1 })
    let held = await client.acquireEngine()
    const served: number[] = []
    const waiting = [0, 1, 2, 3].map(async (i) => {
      const lease = await client.acquireEngine(wait)
      served.push(i)
      return lease
    })
    await clock.advance(100)
    expect(client.metrics().leases.waiting).toBe(4)
    for (const next of waiting) {
      await held.release()
      held = await next
      await clock.settle()
    }
    expect(served).toEqual([0, 1, 2, 3])
  })

  it('ends when a stream of another proxy ends', async () => {
    const { client, clock, fake } = setup({ generation, engines: 1 })
    const theirs = fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '' })
    const waiting = client.acquireEngine(wait)
    await clock.advance(5_000)
    expect(client.metrics().leases.waiting).toBe(1)
    fake.endElsewhere(theirs)
    await clock.advance(2_000)
    expect((await waiting).engine.containerId).toBe(fake.engines[0]?.containerId)
  })
})

describe('waiting for an engine', () => {
  it('a new caller does not overtake a waiter, even in the tick in which a slot is freed', async () => {
    const { client, clock } = setup({ engines: 1 })
    const held = await client.acquireEngine()
    const first = client.acquireEngine(wait)
    await clock.settle()
    const released = held.release()
    const newcomer = client.acquireEngine({ ...wait, waitMs: 10_000 })
    await released
    const lease = await first
    await clock.settle()
    expect(client.metrics().leases.waiting).toBe(1)
    await lease.release()
    await newcomer
  })

  it('ends when a lease expires, a stream ends or a new engine is listed', async () => {
    const { client, clock, fake } = setup({ engines: 2 }, { leaseTtlMs: 10_000 })
    await client.acquireEngine() // is never used
    const stream = await (await client.acquireEngine()).startStream(playback())
    const leases: EngineLease[] = []
    const waiting = [0, 1, 2].map(() => client.acquireEngine(wait).then((lease) => leases.push(lease)))
    await clock.advance(9_000)
    expect(leases).toHaveLength(0)
    await clock.advance(1_000)
    expect(leases).toHaveLength(1)
    await stream.end()
    await clock.settle()
    expect(leases).toHaveLength(2)
    const added = fake.addEngine()
    await clock.advance(3_000)
    expect(leases[2]?.engine.containerId).toBe(added)
    await Promise.all(waiting)
  })

  it('ends after waitMs with an error that states the reason, the time waited and the position', async () => {
    const { client, clock } = setup({ engines: 1 })
    await client.acquireEngine()
    const first = failureOf(client.acquireEngine({ ...wait, waitMs: 5_000 }))
    const second = failureOf(client.acquireEngine({ ...wait, waitMs: 3_000 }))
    await clock.advance(3_000)
    expect(await second).toMatchObject({ code: 'CAPACITY', reason: 'full', message: expect.stringMatching(/3000 ms.*position 2/) })
    await clock.advance(2_000)
    expect(await first).toMatchObject({ code: 'CAPACITY', message: expect.stringMatching(/5000 ms.*position 1/) })
    expect(client.metrics().leases.waiting).toBe(0)
  })

  it('the abort of one waiter does not affect the next', async () => {
    const { client, clock } = setup({ engines: 1 })
    const held = await client.acquireEngine()
    const abort = new AbortController()
    const leaver = failureOf(client.acquireEngine({ ...wait, signal: abort.signal }))
    const stayer = client.acquireEngine(wait)
    await clock.advance(100)
    abort.abort('viewer left')
    expect(await leaver).toBe('viewer left')
    await held.release()
    expect((await stayer).engine.containerId).toBe(held.engine.containerId)
    expect(client.metrics().leases).toMatchObject({ active: 1, waiting: 0 })
  })

  it('[I6] a caller that aborts at the moment when it is served leaks no slot', async () => {
    const { client, clock } = setup({ engines: 1 })
    const held = await client.acquireEngine()
    const abort = new AbortController()
    const leaver = failureOf(client.acquireEngine({ ...wait, signal: abort.signal }))
    await clock.advance(100)
    const released = held.release()
    abort.abort('just now')
    await released
    expect(await leaver).toBe('just now')
    await clock.settle()
    await client.acquireEngine({ waitMs: 0 })
    expect(client.metrics().leases.active).toBe(1)
  })

  it('[I7] leaves no listener on a long-lived signal', async () => {
    const { client, clock } = setup({ engines: 1 }, { maxStreamsPerEngine: 2 })
    const { signal } = new AbortController()
    const one = await client.acquireEngine({ signal })
    const stream = await one.startStream(playback(), { signal })
    await client.acquireEngine({ signal })
    const timedOut = failureOf(client.acquireEngine({ ...wait, signal, waitMs: 1_000 }))
    const served = client.acquireEngine({ ...wait, signal, waitMs: 10_000 })
    await clock.advance(1_000)
    await timedOut
    await stream.end()
    await served
    await Promise.all([client.listEngines({ signal }), client.checkHealth({ signal }), client.flush({ signal })])
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })

  it('ends with a ClientClosedError when the client closes', async () => {
    const { client, clock } = setup({ engines: 1 })
    await client.acquireEngine()
    const waiting = failureOf(client.acquireEngine(wait))
    await clock.settle()
    await client.close()
    expect(await waiting).toBeInstanceOf(ClientClosedError)
    expect(clock.pendingCount).toBe(0)
  })

  it('does not block a later caller that accepts the engine which the first waiter excludes', async () => {
    const { client, clock, fake } = setup({ engines: 2 })
    const [a, b] = fake.engines.map((engine) => engine.containerId)
    const leases = [await client.acquireEngine(), await client.acquireEngine()]
    const excluding = client.acquireEngine({ ...wait, exclude: [a ?? ''] })
    const accepting = client.acquireEngine(wait)
    await clock.settle()
    await leases.find((lease) => lease.engine.containerId === a)?.release()
    expect((await accepting).engine.containerId).toBe(a)
    await leases.find((lease) => lease.engine.containerId === b)?.release()
    expect((await excluding).engine.containerId).toBe(b)
  })

  it('reads the list once every cacheTtlMs, though 50 callers wait', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { dialect: 'unversioned', cacheTtlMs: 2_000 })
    await client.acquireEngine()
    const waiting = Array.from({ length: 50 }, () => failureOf(client.acquireEngine({ ...wait, waitMs: 20_000 })))
    await clock.advance(20_000)
    await Promise.all(waiting)
    const requests = fake.counters.requests.byRoute['GET /engines'] ?? 0
    expect(requests).toBeLessThanOrEqual(2 + 10)
    expect(requests).toBeGreaterThanOrEqual(10)
  })
})

describe('a caller that looks for an engine, with a store that answers after 5 ms', () => {
  it('causes no request for a new engine if a slot is freed meanwhile', async () => {
    /** Whether the client requests an engine if the only slot is freed `freedAtMs` after the call. */
    const requestsWhen = async (freedAtMs: number) => {
      const { store, time } = distantStore(5)
      const { client, clock } = setup({ engines: 1 }, { store, leaseTtlMs: 3_600_000 })
      time.clock = clock
      const held = await during(clock, client.acquireEngine(), 1)
      const requestedAt: number[] = []
      const since = clock.now()
      client.on('provision:requested', () => requestedAt.push(clock.now() - since))
      const leasing = client.acquireEngine({ exclude: ['not-listed'], waitMs: 60_000 })
      for (let passed = 0; passed < 100; passed += 1) {
        // The store takes 5 ms to free the slot.
        if (passed === freedAtMs - 5) void held.release()
        await clock.advance(1)
      }
      await leasing
      return requestedAt
    }
    const [requestedAtMs = 0] = await requestsWhen(50)
    expect(requestedAtMs).toBeGreaterThan(5)
    for (let freedAtMs = 5; freedAtMs < requestedAtMs; freedAtMs += 1) {
      expect([freedAtMs, await requestsWhen(freedAtMs)]).toEqual([freedAtMs, []])
    }
  })
})
