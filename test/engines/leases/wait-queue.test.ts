import type { EngineLease } from 'acestream-orchestrator-client'
import { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { type Waiter, WaitQueue } from '../../../src/engines/leases/wait-queue.ts'
import { laterStore } from '../../support/later-store.ts'
import { during, failureOf, setup } from '../../support/setup.ts'

describe('the wait queue', () => {
  it('forgets a caller that leaves in its last round', () => {
    const queue = new WaitQueue(new ManualClock(), { errorFor: () => new Error('full'), onChange: () => {} })
    const request = { exclude: new Set<string>(), mayProvision: false, waitMs: 0, signal: undefined }
    const [served, rejected] = [queue.add(request, 0), queue.add(request, 0)]
    served.lease.catch(() => {})
    rejected.lease.catch(() => {})
    for (const caller of [served, rejected]) {
      queue.wait(caller, undefined)
      queue.markLastRound(caller)
    }
    expect([queue.lastRound, queue.allMayProvision]).toEqual([[served, rejected], false])
    served.serve({} as EngineLease)
    rejected.reject(new Error('closed'))
    expect([queue.lastRound, queue.allMayProvision, queue.isEmpty]).toEqual([[], true, true])
  })

  it('a caller that aborts while the store is being read is rejected at once, not after waitMs', async () => {
    const { client, clock } = setup({ engines: 1 }, { store: laterStore(2) })
    await client.acquireEngine()
    const abort = new AbortController()
    let settled: unknown
    const waiting = failureOf(client.acquireEngine({ signal: abort.signal, provision: false })).then((e) => (settled = e))
    await Promise.resolve()
    await Promise.resolve()
    await Promise.resolve()
    abort.abort('left')
    await clock.settle()
    await clock.settle()
    await clock.settle()
    expect(settled).toBe('left')
    await waiting
  })

  it('a caller that aborts in the tick in which the list arrives is rejected at once', async () => {
    const { client, clock } = setup({ engines: 1, latencyMs: 10 }, { cacheTtlMs: 100 })
    await during(clock, client.acquireEngine(), 10)
    await clock.advance(1_000)
    for (let hops = 0; hops < 12; hops += 1) {
      await clock.advance(1_000)
      const abort = new AbortController()
      let settled: unknown
      void failureOf(client.acquireEngine({ signal: abort.signal, provision: false })).then((e) => (settled = e))
      void client.listEngines().then(async () => {
        for (let i = 0; i < hops; i += 1) await Promise.resolve()
        abort.abort('left')
      })
      await clock.advance(50)
      expect([hops, settled]).toEqual([hops, 'left'])
    }
  })

  it('a caller with waitMs 0 gets the free engine that the only waiter excludes', async () => {
    const { client, clock, fake } = setup({ engines: 2 })
    const [a] = fake.engines.map((engine) => engine.containerId)
    const leases = [await client.acquireEngine(), await client.acquireEngine()]
    const excluding = client.acquireEngine({ exclude: [a ?? ''], provision: false })
    excluding.catch(() => {})
    await clock.settle()
    await leases.find((lease) => lease.engine.containerId === a)?.release()
    const lease = await client.acquireEngine({ waitMs: 0 })
    expect(lease.engine.containerId).toBe(a)
  })

  it('a caller with provision: false gets an unhealthy engine, though an earlier caller waits for a new one', async () => {
    const { client, clock, fake } = setup({ engines: 2, provisionDelayMs: 20_000 })
    const [a] = fake.engines.map((engine) => engine.containerId)
    fake.updateEngine(a ?? '', { healthStatus: 'unhealthy' })
    await client.acquireEngine()
    const waitsForNew = client.acquireEngine()
    await clock.advance(100)
    let lease: EngineLease | undefined
    const withoutProvisioning = client.acquireEngine({ provision: false }).then((l) => (lease = l))
    await clock.advance(5_000)
    expect(lease?.engine.containerId).toBe(a)
    await during(clock, Promise.all([waitsForNew, withoutProvisioning]))
  })

  it('in an outage the waiter and a later caller both get the fallback engine', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { fallbackEngine: { host: 'fallback', port: 1 } })
    await client.acquireEngine()
    const first = client.acquireEngine({ provision: false, waitMs: 600_000 })
    fake.inject({ kind: 'refused', times: Number.POSITIVE_INFINITY })
    await clock.advance(50_000)
    expect((await first).isFallback).toBe(true)
    const lease = await during(clock, client.acquireEngine({ waitMs: 5_000 }))
    expect(lease.isFallback).toBe(true)
  })

  it.each([false, true])(
    'the earlier of two callers is served first, though only that one passes a signal (list is cached: %s)',
    async (isCached) => {
      const { client, clock } = setup({ engines: 1, latencyMs: isCached ? 0 : 10 })
      if (isCached) await client.listEngines()
      const order: string[] = []
      const { signal } = new AbortController()
      void client.acquireEngine({ signal, provision: false }).then(() => order.push('first'))
      client.acquireEngine({ provision: false }).then(
        () => order.push('second'),
        () => {},
      )
      await clock.advance(100)
      expect(order).toEqual(['first'])
    },
  )

  it('a new caller in an outage is rejected with CIRCUIT_OPEN, though an earlier one still waits', async () => {
    const { client, clock, fake } = setup({ engines: 1 })
    await client.acquireEngine()
    void client.acquireEngine({ provision: false, waitMs: 600_000 }).catch(() => {})
    fake.inject({ kind: 'refused', times: Number.POSITIVE_INFINITY })
    await clock.advance(60_000)
    const error = await during(clock, failureOf(client.acquireEngine({ waitMs: 5_000 })))
    expect(error).toMatchObject({ code: 'CIRCUIT_OPEN' })
  })
})

describe('a caller in the wait queue', () => {
  const request = { exclude: new Set<string>(), mayProvision: true, waitMs: 1_000, signal: undefined }
  const queueOf = () => new WaitQueue(new ManualClock(), { errorFor: () => new Error('no engine'), onChange: () => {} })

  it.each<[string, (queue: WaitQueue, waiter: Waiter) => void]>([
    ['waits already', (queue, waiter) => queue.wait(waiter, undefined)],
    ['was served', (_, waiter) => waiter.serve({} as EngineLease)],
    ['was rejected', (_, waiter) => waiter.reject(new Error('closed'))],
  ])('cannot begin to wait if it %s', (_, transition) => {
    const queue = queueOf()
    const waiter = queue.add(request, 0)
    waiter.lease.catch(() => {})
    transition(queue, waiter)
    const { waitingCount } = queue
    expect(() => queue.wait(waiter, undefined)).toThrow('Only a caller that is choosing an engine can begin to wait')
    expect([queue.waitingCount, queue.provisioningCount]).toEqual([waitingCount, waitingCount])
  })

  it('is settled once: a caller that was served is not rejected, and takes no second lease', async () => {
    const queue = queueOf()
    const waiter = queue.add(request, 0)
    queue.wait(waiter, undefined)
    const lease = {} as EngineLease
    expect([waiter.serve(lease), waiter.serve({} as EngineLease)]).toEqual([true, false])
    waiter.reject(new Error('closed'))
    expect(await waiter.lease).toBe(lease)
    expect([queue.waitingCount, queue.provisioningCount, queue.has(waiter)]).toEqual([0, 0, false])
  })
})
