import { type Cache, type JournalEntry, MemoryStore } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { laterStore } from '../support/later-store.ts'
import { setup } from '../support/setup.ts'

describe('a client that closes', () => {
  it('leaves no timer for a lease that is granted while it closes', async () => {
    for (let hops = 0; hops < 12; hops += 1) {
      const { client, clock } = setup({ engines: 1, latencyMs: 10 }, { dialect: 'unversioned', sweepIntervalMs: 0 })
      const acquiring = client.acquireEngine().catch((e) => e)
      let closing: Promise<unknown> | undefined
      void client.listEngines().then(async () => {
        for (let i = 0; i < hops; i += 1) await Promise.resolve()
        closing = client.close()
      })
      await clock.advance(100)
      await closing
      await acquiring
      await clock.settle()
      expect([hops, clock.pendingCount, client.metrics().leases.active]).toEqual([hops, 0, 0])
    }
  })

  it('leaves no timer for a lease that an asynchronous store grants while it closes', async () => {
    const { client, clock } = setup({ engines: 1 }, { dialect: 'unversioned', sweepIntervalMs: 0, store: laterStore(3) })
    await client.listEngines()
    const acquiring = client.acquireEngine().catch((e) => e)
    await Promise.resolve()
    await Promise.resolve()
    await Promise.resolve()
    await Promise.resolve()
    const closing = client.close()
    for (let i = 0; i < 6; i += 1) await clock.settle()
    await closing
    expect(await acquiring).toMatchObject({ code: 'CLIENT_CLOSED' })
    expect(clock.pendingCount).toBe(0)
  })

  it('leaves no timer for a cache that hangs', async () => {
    const cache: Cache = { get: () => new Promise(() => {}), set: () => new Promise(() => {}), delete: () => {} }
    const { client, clock } = setup({ engines: 1 }, { cache, sweepIntervalMs: 0 })
    const listing = client.listEngines().catch((e) => e)
    await clock.settle()
    await client.close()
    await clock.settle()
    const left = clock.pendingCount
    await clock.advance(10_000)
    await listing
    expect(left).toBe(0)
  })

  it('leaves no timer and no request for an unfinished detection of the dialect', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { sweepIntervalMs: 0 })
    fake.inject({ kind: 'lost-request', times: Number.POSITIVE_INFINITY })
    const listing = client.listEngines().catch((error: unknown) => error)
    await clock.settle()
    const pending = clock.pendingCount
    await client.close()
    await clock.settle()
    expect([pending > 0, clock.pendingCount]).toEqual([true, 0])
    expect(await listing).toMatchObject({ code: 'CLIENT_CLOSED' })
  })

  it.each(['while it closes', 'after it closed'])(
    'leaves no timer and no request for a recovery after a crash whose journal arrives %s',
    async (when) => {
      const { promise, resolve } = Promise.withResolvers<readonly JournalEntry[]>()
      const store = Object.assign(new MemoryStore(), { recover: () => promise })
      const { client, fake, clock } = setup({ engines: 1 }, { store, sweepIntervalMs: 0 })
      await client.listEngines()
      const closing = client.close()
      if (when === 'after it closed') await closing
      const requests = fake.counters.requests.total
      resolve([{ streamId: 'of-a-predecessor', proxyId: 'p', isOver: false }])
      await closing
      await clock.settle()
      const left = clock.pendingCount
      await clock.advance(60_000)
      expect([left, fake.counters.requests.total]).toEqual([0, requests])
    },
  )
})
