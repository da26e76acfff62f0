import { getEventListeners } from 'node:events'
import { MemoryStore } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { failureOf, setup } from '../../support/setup.ts'

const outage = { kind: 'refused', times: Number.POSITIVE_INFINITY } as const
const waitTenMinutes = { provision: false, waitMs: 600_000 } as const

describe('a waiter in an outage', () => {
  it('makes the client go on requesting lists, and is served from the first that shows a free slot', async () => {
    const { client, fake, clock } = setup({ engines: 1 })
    const containerId = fake.engines[0]?.containerId ?? ''
    const theirs = fake.startElsewhere({ containerId })
    const waiting = client.acquireEngine(waitTenMinutes)
    await clock.advance(1_000)
    const fault = fake.inject(outage)
    await clock.advance(20_000)
    expect(fault.hits).toBeGreaterThanOrEqual(5)
    fake.endElsewhere(theirs)
    fault.remove()
    await clock.advance(12_500)
    expect((await waiting).engine.containerId).toBe(containerId)
  })

  it('[I1] gets no slot of a list that is older than cacheTtlMs plus staleIfErrorMs', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { cacheTtlMs: 2_000, staleIfErrorMs: 30_000, leaseTtlMs: 600_000 })
    const held = await client.acquireEngine()
    let isServed = false
    const waiting = client.acquireEngine(waitTenMinutes).then((lease) => {
      isServed = true
      return lease
    })
    await clock.advance(1_000)
    const fault = fake.inject(outage)
    await clock.advance(60_000)
    const theirs = fake.startElsewhere({ containerId: held.engine.containerId })
    await held.release()
    await clock.advance(10_000)
    expect(isServed).toBe(false)
    fault.remove()
    await clock.advance(10_000)
    expect(isServed).toBe(false)
    fake.endElsewhere(theirs)
    await clock.advance(3_000)
    expect((await waiting).engine.containerId).toBe(held.engine.containerId)
  })

  it('gets a slot that this client frees after 20 s of outage, since staleIfErrorMs still allows the last list', async () => {
    const { client, fake, clock } = setup({ engines: 1 })
    const held = await client.acquireEngine()
    const waiting = client.acquireEngine(waitTenMinutes)
    await clock.advance(1_000)
    fake.inject(outage)
    await clock.advance(20_000)
    await held.release()
    expect((await waiting).engine.containerId).toBe(held.engine.containerId)
  })
})

describe('a waiter', () => {
  it('[I7] that aborts as the last one ends the list requests', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { dialect: 'unversioned', sweepIntervalMs: 0 })
    await client.acquireEngine()
    const before = clock.pendingCount
    const abort = new AbortController()
    const leaving = failureOf(client.acquireEngine({ ...waitTenMinutes, signal: abort.signal }))
    await clock.advance(3_000)
    abort.abort('viewer left')
    await leaving
    expect(clock.pendingCount).toBe(before)
    const { total } = fake.counters.requests
    await clock.advance(20_000)
    expect(fake.counters.requests.total).toBe(total)
  })

  it('[I7] that is served, aborts or is rejected leaves no timer and no listener', async () => {
    const { client, clock } = setup({ engines: 1 }, { sweepIntervalMs: 0, cacheTtlMs: 600_000 })
    const held = await client.acquireEngine()
    const before = clock.pendingCount
    const { signal } = new AbortController()
    const abort = new AbortController()
    const served = client.acquireEngine({ ...waitTenMinutes, signal })
    const left = failureOf(client.acquireEngine({ ...waitTenMinutes, signal: abort.signal }))
    const late = failureOf(client.acquireEngine({ ...waitTenMinutes, waitMs: 1_000, signal }))
    await clock.advance(1_000)
    abort.abort('viewer left')
    await held.release()
    await Promise.all([served, left, late])
    expect(clock.pendingCount).toBe(before)
    expect([...getEventListeners(signal, 'abort'), ...getEventListeners(abort.signal, 'abort')]).toEqual([])
  })

  it('[I6] whose client closes in the tick in which an engine was found for it leaves no slot taken', async () => {
    const outcomes = new Set<string>()
    for (let hops = 0; hops < 8; hops += 1) {
      const store = new MemoryStore()
      const { client, clock } = setup({ engines: 1, latencyMs: 10 }, { dialect: 'unversioned', store })
      const outcome = client.acquireEngine().then(
        () => 'acquired',
        (error: { code: string }) => error.code,
      )
      let closing: Promise<unknown> | undefined
      void client.listEngines().then(async () => {
        for (let hop = 0; hop < hops; hop += 1) await Promise.resolve()
        closing = client.close()
      })
      await clock.advance(100)
      await closing
      outcomes.add(await outcome)
      expect([client.metrics().leases.active, store.usage().size]).toEqual([0, 0])
    }
    // The client closed both before and after the lease was granted.
    expect(outcomes).toEqual(new Set(['CLIENT_CLOSED', 'acquired']))
  })
})
