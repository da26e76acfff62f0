import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { failureOf, setup } from '../../support/setup.ts'

const outage = { kind: 'refused', times: Number.POSITIVE_INFINITY } as const
const patient = { provision: false, waitMs: 600_000 } as const

describe('waiting through an outage', () => {
  it('goes on asking, and ends with the list that tells of room', async () => {
    const { client, fake, clock } = setup({ engines: 1 })
    const containerId = fake.engines[0]?.containerId ?? ''
    const theirs = fake.startElsewhere({ containerId })
    const waiting = client.acquireEngine(patient)
    await clock.advance(1_000)
    const fault = fake.inject(outage)
    await clock.advance(20_000)
    expect(fault.hits).toBeGreaterThanOrEqual(5)
    fake.endElsewhere(theirs)
    fault.remove()
    await clock.advance(12_500)
    expect((await waiting).engine.containerId).toBe(containerId)
  })

  it('[I1] takes no slot that is known only from a list too old to be served', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { cacheTtlMs: 2_000, staleIfErrorMs: 30_000, leaseTtlMs: 600_000 })
    const held = await client.acquireEngine()
    let isServed = false
    const waiting = client.acquireEngine(patient).then((lease) => {
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

  it('takes a slot that comes free here from the last list, as long as that may be served', async () => {
    const { client, fake, clock } = setup({ engines: 1 })
    const held = await client.acquireEngine()
    const waiting = client.acquireEngine(patient)
    await clock.advance(1_000)
    fake.inject(outage)
    await clock.advance(20_000)
    await held.release()
    expect((await waiting).engine.containerId).toBe(held.engine.containerId)
  })
})

describe('a caller in the line', () => {
  it('[I7] who leaves as the last one ends the asking for lists', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { dialect: 'unversioned', sweepIntervalMs: 0 })
    await client.acquireEngine()
    const before = clock.pendingCount
    const abort = new AbortController()
    const leaving = failureOf(client.acquireEngine({ ...patient, signal: abort.signal }))
    await clock.advance(3_000)
    abort.abort('viewer left')
    await leaving
    expect(clock.pendingCount).toBe(before)
    const { total } = fake.counters.requests
    await clock.advance(20_000)
    expect(fake.counters.requests.total).toBe(total)
  })

  it('[I7] who is served, leaves or is turned away leaves no timer and no listener', async () => {
    const { client, clock } = setup({ engines: 1 }, { sweepIntervalMs: 0, cacheTtlMs: 600_000 })
    const held = await client.acquireEngine()
    const before = clock.pendingCount
    const { signal } = new AbortController()
    const abort = new AbortController()
    const served = client.acquireEngine({ ...patient, signal })
    const left = failureOf(client.acquireEngine({ ...patient, signal: abort.signal }))
    const late = failureOf(client.acquireEngine({ ...patient, waitMs: 1_000, signal }))
    await clock.advance(1_000)
    abort.abort('viewer left')
    await held.release()
    await Promise.all([served, left, late])
    expect(clock.pendingCount).toBe(before)
    expect([...getEventListeners(signal, 'abort'), ...getEventListeners(abort.signal, 'abort')]).toEqual([])
  })

  it('[I6] whose client closes in the tick in which an engine was found for it gets none, and the slot is free', async () => {
    for (let hops = 0; hops < 8; hops += 1) {
      const { client, clock } = setup({ engines: 1, latencyMs: 10 }, { dialect: 'unversioned' })
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
      expect(['acquired', 'CLIENT_CLOSED']).toContain(await outcome)
      expect(client.metrics().leases.active).toBe(0)
    }
  })
})
