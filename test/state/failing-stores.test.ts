import { runInNewContext } from 'node:vm'
import { MemoryStore, type StateStore } from 'acestream-orchestrator-client'
import { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { laterStore } from '../support/later-store.ts'
import { connect, during, failureOf, playback, setup } from '../support/setup.ts'

const boom = (): never => {
  throw new Error('store failed')
}

describe('a client with a failing or unusual store', () => {
  it('does not crash the process if expire() throws, and its leases expire once expire() works again', async () => {
    const store = new MemoryStore()
    const { client, clock } = setup({ engines: 1 }, { store, leaseTtlMs: 1_000 })
    await client.acquireEngine()
    const expire = store.expire.bind(store)
    store.expire = boom
    await clock.advance(1_500)
    store.expire = expire
    await clock.advance(60_000)
    expect(client.metrics().leases.active).toBe(0)
  })

  it('does not call expire() in a busy loop if it rejects', async () => {
    const store = laterStore()
    const { client, clock } = setup({ engines: 1 }, { store, leaseTtlMs: 1_000 })
    await client.acquireEngine()
    let calls = 0
    const expire = store.expire
    store.expire = async (now) => {
      calls += 1
      if (calls > 50) return expire(now)
      return boom()
    }
    await clock.advance(1_100)
    expect(calls).toBeLessThan(10)
  })

  it('does not call expire() in a busy loop if the leases of two clients on one store expire in the same tick', async () => {
    const store = new MemoryStore()
    let calls = 0
    const expire = store.expire.bind(store)
    store.expire = (now) => {
      calls += 1
      if (calls > 1_000) throw new Error('busy loop')
      return expire(now)
    }
    const { client, clock, fake } = setup({ engines: 2 }, { store, leaseTtlMs: 1_000 })
    const other = connect(fake, clock, { store, leaseTtlMs: 1_000 })
    await client.acquireEngine()
    await other.acquireEngine()
    await clock.advance(1_100)
    expect(calls).toBeLessThan(10)
    expect(other.metrics().leases.active).toBe(0)
  })

  it('resolves close() and leaves no timer if releaseLease() throws', async () => {
    const store = new MemoryStore()
    const { client, clock, fake } = setup({ engines: 2 }, { store, healthIntervalMs: 0, sweepIntervalMs: 0 })
    await client.acquireEngine()
    fake.inject({ kind: 'lost-request' })
    const stuck = failureOf(client.listEngines({ fresh: true }))
    await clock.settle()
    const releaseLease = store.releaseLease.bind(store)
    store.releaseLease = boom
    const report = await client.close({ timeoutMs: 100 }).catch((e) => e)
    await clock.settle()
    const pending = clock.pendingCount
    store.releaseLease = releaseLease
    expect(report).toEqual({ delivered: 0, undelivered: [] })
    expect(pending).toBe(0)
    await clock.advance(5_000)
    await stuck
  })

  it('sends all ends before close() resolves, even if releaseLease() throws', async () => {
    const store = new MemoryStore()
    const { client, fake, clock } = setup({ engines: 2 }, { store })
    await (await client.acquireEngine()).startStream(playback())
    await client.acquireEngine()
    fake.latencyMs = 500
    store.releaseLease = boom
    expect(await during(clock, client.close())).toEqual({ delivered: 1, undelivered: [] })
    expect(fake.liveStreamIds()).toEqual([])
  })

  it.each([
    ['throws', () => boom()],
    ['rejects', async () => boom()],
  ])('calls releaseStream() again at the next sweep if it %s at the end of a stream', async (_, fail) => {
    const store: StateStore = new MemoryStore()
    const { client, fake } = setup({ engines: 1 }, { store })
    const watch = async () => (await client.acquireEngine({ waitMs: 0, provision: false })).startStream({ ...playback(), streamId: 'x' })
    const stream = await watch()
    const releaseStream = store.releaseStream.bind(store)
    store.releaseStream = fail
    expect(await stream.end()).toMatchObject({ outcome: 'delivered' })
    client.sweep()
    store.releaseStream = releaseStream
    expect(await failureOf(watch())).toMatchObject({ code: 'CAPACITY', reason: 'full' })
    client.sweep()
    const next = await watch()
    client.sweep()
    expect(await failureOf(watch())).toMatchObject({ code: 'CAPACITY', reason: 'full' })
    expect([next.state, fake.liveStreamIds()]).toEqual(['live', ['x']])
  })

  it('does not free the slot of a new stream at the next sweep if releaseStream() failed for an older stream with the same id', async () => {
    const store = new MemoryStore()
    const { client } = setup({ engines: 2 }, { store })
    const watch = async () => (await client.acquireEngine({ waitMs: 0, provision: false })).startStream({ ...playback(), streamId: 'x' })
    const stream = await watch()
    const releaseStream = store.releaseStream.bind(store)
    store.releaseStream = boom
    await stream.end()
    const lease = await client.acquireEngine({ waitMs: 0 })
    store.releaseStream = releaseStream
    await lease.startStream({ ...playback(), streamId: 'x' })
    client.sweep()
    expect([...store.usage().values()].flatMap(({ streamIds }) => [...streamIds])).toEqual(['x'])
  })

  it('leaves no rejection unhandled if releaseLease() rejects when a waiting caller aborts', async () => {
    const store = laterStore()
    const { client, clock } = setup({ engines: 1 }, { store })
    const held = await client.acquireEngine()
    const abort = new AbortController()
    const waiting = failureOf(client.acquireEngine({ provision: false, signal: abort.signal }))
    await clock.settle()
    const releaseLease = store.releaseLease
    const unhandled: unknown[] = []
    const listener = (e: unknown) => unhandled.push(e)
    process.on('unhandledRejection', listener)
    store.take = async (r) => {
      await new Promise(setImmediate)
      abort.abort('left')
      store.releaseLease = async () => boom()
      return store.inner.take(r)
    }
    await held.release()
    for (let i = 0; i < 5; i += 1) await clock.settle()
    await waiting
    store.releaseLease = releaseLease
    process.off('unhandledRejection', listener)
    expect(unhandled).toEqual([])
  })

  it('accepts promises of another realm from its store', async () => {
    const inner = new MemoryStore()
    // A promise of another realm is not an instance of this realm's Promise.
    const Foreign = runInNewContext('Promise') as PromiseConstructor
    const thenable = <T>(value: T): Promise<T> => new Foreign((resolve) => void setImmediate(() => resolve(value)))
    const store: StateStore = {
      take: (r) => thenable(inner.take(r)),
      promote: (a, b) => thenable(inner.promote(a, b)),
      occupy: (a, b) => thenable(inner.occupy(a, b)),
      releaseLease: (a) => thenable(inner.releaseLease(a)),
      releaseStream: (a) => thenable(inner.releaseStream(a)),
      expire: (a) => thenable(inner.expire(a)),
      usage: () => inner.usage(),
      claimEnd: (a, b, c) => thenable(inner.claimEnd(a, b, c)),
      unclaimEnd: (a) => thenable(inner.unclaimEnd(a)),
      endedAmong: (a, b) => thenable(inner.endedAmong(a, b)),
      forgetEnded: (a) => thenable(inner.forgetEnded(a)),
      append: () => thenable(inner.append()),
      settle: () => thenable(inner.settle()),
      recover: () => thenable(inner.recover()),
    }
    inner.usage = () => new Map()
    const { client, clock } = setup({ engines: 1 }, { store })
    await client.acquireEngine()
    const refused = failureOf(client.acquireEngine({ waitMs: 0 }))
    await clock.settle()
    expect(await refused).toMatchObject({ code: 'CAPACITY' })
  })

  it('does not take an accepted start for a rejected one if occupy() throws after the acceptance', async () => {
    const store = new MemoryStore()
    const { client, fake } = setup({ engines: 0 }, { store })
    const occupy = store.occupy.bind(store)
    let calls = 0
    store.occupy = (containerId, streamId) => {
      calls += 1
      return calls === 2 ? boom() : occupy(containerId, streamId)
    }
    const stream = await client.streamStarted({ ...playback(), engine: { host: 'unlisted', port: 1 } })
    expect([calls, stream.state, fake.liveStreamIds()]).toEqual([2, 'live', [stream.id]])
    expect(await stream.end()).toMatchObject({ outcome: 'delivered' })
    expect([fake.liveStreamIds(), store.usage().size]).toEqual([[], 0])
  })

  it('sends an end even if claimEnd() rejects', async () => {
    const store = laterStore()
    const { client } = setup({ engines: 1 }, { store })
    const stream = await (await client.acquireEngine()).startStream(playback())
    store.claimEnd = async () => boom()
    const result = await stream.end()
    expect(result).toMatchObject({ outcome: 'delivered' })
    expect(stream.state).toBe('ended')
  })

  it.each([Number.MAX_SAFE_INTEGER, Number.MAX_VALUE])(
    'does not arm timers in a busy loop for a lease that never expires (leaseTtlMs %d)',
    async (leaseTtlMs) => {
      const manual = new ManualClock()
      let armed = 0
      const clock = {
        now: () => manual.now(),
        setTimeout: (cb: () => void, ms: number) => {
          armed += 1
          if (armed > 500) return { cancel() {} }
          return manual.setTimeout(cb, ms)
        },
      }
      const { client } = setup({ engines: 1 }, { clock, leaseTtlMs, sweepIntervalMs: 0 })
      const lease = await client.acquireEngine()
      await manual.advance(10)
      expect(armed).toBeLessThan(50)
      expect(Number.isNaN(lease.expiresAt.getTime())).toBe(false)
    },
  )
})
