import { type EngineUsage, MemoryStore, type StateStore, StoreError, type UsageListener } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { laterStore } from '../support/later-store.ts'
import { playback, setup } from '../support/setup.ts'

/** A store that counts the calls of `usage()`, and on whose slots the test can report changes. */
function watchedStore(changes: Partial<StateStore> = {}) {
  const memory = new MemoryStore()
  const listeners = new Set<UsageListener>()
  let usageCalls = 0
  const own = {
    usage: () => {
      usageCalls += 1
      return MemoryStore.prototype.usage.call(memory)
    },
    onUsageChanged: (listener: UsageListener) => {
      listeners.add(listener)
      const stop = MemoryStore.prototype.onUsageChanged.call(memory, listener)
      return () => {
        listeners.delete(listener)
        stop()
      }
    },
  }
  const store: StateStore = Object.assign(memory, own, changes)
  return { store, memory, listeners, usageCalls: () => usageCalls }
}

describe('a store that reports changes of its slots', () => {
  it('is asked for all slots once for each list, however many callers acquire', async () => {
    const { store, usageCalls } = watchedStore()
    const { client } = setup({ engines: 5 }, { store, cacheTtlMs: 60_000 })
    for (let i = 0; i < 20; i += 1) await (await client.acquireEngine()).release()
    expect(usageCalls()).toBe(1)
  })

  it('has no listener left when the client is closed', async () => {
    const { store, listeners } = watchedStore()
    const { client } = setup({ engines: 1 }, { store })
    await (await client.acquireEngine()).release()
    expect(listeners.size).toBe(1)
    await client.close()
    expect(listeners.size).toBe(0)
  })

  it('may report slots that something else takes: the next caller gets another engine', async () => {
    const { store, memory, usageCalls } = watchedStore()
    const { client, clock, fake } = setup({ engines: 2 }, { store, cacheTtlMs: 60_000 })
    const [a = '', b = ''] = fake.engines.map(({ containerId }) => containerId)
    await (await client.acquireEngine()).release()
    memory.occupy(a, 'elsewhere')
    for (let i = 0; i < 3; i += 1) {
      await clock.advance(1_000) // the other engine has been unused for longer
      const lease = await client.acquireEngine({ waitMs: 0 })
      expect(lease.engine.containerId).toBe(b)
      await lease.release()
    }
    expect(usageCalls()).toBe(1)
  })

  it('may report a change without an engine, or one that cannot be read: its slots are read again', async () => {
    const { store, memory, listeners, usageCalls } = watchedStore()
    const { client, fake } = setup({ engines: 2 }, { store, cacheTtlMs: 60_000 })
    const [a = '', b = ''] = fake.engines.map(({ containerId }) => containerId)
    await (await client.acquireEngine()).release()
    for (const [taken, change] of [['', []] as const, [a, [a, { leaseCount: 'one' }]] as const]) {
      // A slot whose change is not reported.
      if (taken !== '') (MemoryStore.prototype.usage.call(memory) as Map<string, unknown>).set(a, { leaseCount: 1, streamIds: new Set() })
      const before = usageCalls()
      for (const listener of listeners) (listener as (...given: unknown[]) => void)(...change)
      const lease = await client.acquireEngine({ waitMs: 0 })
      if (taken !== '') expect(lease.engine.containerId).toBe(b)
      await lease.release()
      expect(usageCalls()).toBe(before + 1)
    }
  })

  it.each<[how: string, changes: Partial<StateStore>]>([
    [
      'throws when it is listened to',
      {
        onUsageChanged: () => {
          throw new Error('not now')
        },
      },
    ],
    ['is listened to later', { onUsageChanged: async () => () => {} } as never],
    ['returns nothing when it is listened to', { onUsageChanged: () => {} } as never],
    ['has null in place of the method', { onUsageChanged: null } as never],
    ['reports its slots later', { usage: async () => new Map() }],
  ])('may fail: a client whose store %s still gives engines to its callers', async (_, changes) => {
    const { store } = watchedStore(changes)
    const { client } = setup({ engines: 2 }, { store })
    const leases = [await client.acquireEngine(), await client.acquireEngine()]
    expect(new Set(leases.map(({ engine }) => engine.containerId)).size).toBe(2)
    await client.listEngines({ fresh: true })
    await expect(client.acquireEngine({ waitMs: 0, provision: false })).rejects.toMatchObject({ code: 'CAPACITY' })
    await leases[0]?.release()
    const next = await client.acquireEngine({ waitMs: 0, provision: false })
    expect(next.engine.containerId).toBe(leases[0]?.engine.containerId)
  })

  it('may know of fewer slots than it has taken: the caller gets the next best engine', async () => {
    const { store, memory } = watchedStore({ usage: () => new Map(), onUsageChanged: () => () => {} })
    const { client, fake } = setup({ engines: 3 }, { store, cacheTtlMs: 60_000 })
    const [a = '', b = '', c] = fake.engines.map(({ containerId }) => containerId)
    memory.occupy(a, 'one')
    memory.occupy(b, 'two')
    for (let i = 0; i < 5; i += 1) {
      const lease = await client.acquireEngine({ waitMs: 0 })
      expect(lease.engine.containerId).toBe(c)
      await lease.release()
    }
  })

  it('may answer later: a caller that leaves at once keeps no slot, and a failing store delays only the caller', async () => {
    const later = laterStore()
    let mayFail = false
    const take: StateStore['take'] = (request) =>
      mayFail ? Promise.reject(new StoreError('away', { reason: 'unavailable' })) : later.take(request)
    const { inner } = later
    const changes = { usage: () => inner.usage(), onUsageChanged: (listener: UsageListener) => inner.onUsageChanged(listener) }
    const store: StateStore = { ...later, ...changes, take }
    const { client, clock } = setup({ engines: 1 }, { store, cacheTtlMs: 5_000 })
    await client.listEngines()
    const controller = new AbortController()
    const leaving = client.acquireEngine({ signal: controller.signal })
    controller.abort(new Error('left'))
    await expect(leaving).rejects.toThrow('left')
    const stream = await (await client.acquireEngine()).startStream(playback())
    await stream.end()
    expect(inner.usage().size).toBe(0)
    mayFail = true
    const waiting = client.acquireEngine()
    await clock.advance(0)
    mayFail = false
    await clock.advance(5_000)
    await expect(waiting).resolves.toMatchObject({ isFallback: false })
  })
})

describe('a subclass of a store that replaces usage() alone', () => {
  /** Counts slots of its own, whose changes the inherited onUsageChanged does not report. */
  class CountingStore extends MemoryStore {
    readonly others = new Map<string, EngineUsage>()
    override usage(): ReadonlyMap<string, EngineUsage> {
      return new Map([...super.usage(), ...this.others])
    }
  }

  it('is asked for its slots for each caller', async () => {
    const store = new CountingStore()
    const { client, fake } = setup({ engines: 2 }, { store, cacheTtlMs: 60_000 })
    const [a = '', b = ''] = fake.engines.map(({ containerId }) => containerId)
    await (await client.acquireEngine()).release()
    for (const [taken, free] of [[a, b] as const, [b, a] as const]) {
      store.others.clear()
      store.others.set(taken, { leaseCount: 1, streamIds: new Set() })
      for (let i = 0; i < 20; i += 1) {
        const lease = await client.acquireEngine({ waitMs: 0 })
        expect(lease.engine.containerId).toBe(free)
        await lease.release()
      }
    }
  })
})
