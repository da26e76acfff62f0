import { runInNewContext } from 'node:vm'
import { MemoryStore, type StateStore } from 'acestream-orchestrator-client'
import { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { laterStore } from '../support/later-store.ts'
import { connect, during, failureOf, playback, setup } from '../support/setup.ts'

const boom = (): never => {
  throw new Error('store failed')
}

describe('a store', () => {
  it('that throws at once when leases expire does not bring the process down', async () => {
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

  it('that rejects when leases expire is not asked again at once, for ever', async () => {
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

  it('that two clients share is not asked for ever when their leases expire in one tick', async () => {
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

  it('that fails does not keep close() from resolving and letting go of everything', async () => {
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

  it('that fails to take a lease back does not make close() leave before the ends are told', async () => {
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
  ])('that %s when a stream gives its slot back is asked again by the next sweep', async (_, fail) => {
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

  it('that fails to take a slot back when its id lives again by the next sweep leaves the new stream its own', async () => {
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

  it('that fails to take a slot back while the line is served rejects nothing unheard', async () => {
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

  it('may answer with promises of another make', async () => {
    const inner = new MemoryStore()
    // A promise of another realm is no instance of ours.
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

  it('that fails when the orchestrator has accepted a start makes no refused start of it', async () => {
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

  it('that cannot say whether an end was sent before does not lose the end', async () => {
    const store = laterStore()
    const { client } = setup({ engines: 1 }, { store })
    const stream = await (await client.acquireEngine()).startStream(playback())
    store.claimEnd = async () => boom()
    const result = await stream.end()
    expect(result).toMatchObject({ outcome: 'delivered' })
    expect(stream.state).toBe('ended')
  })

  it.each([Number.MAX_SAFE_INTEGER, Number.MAX_VALUE])(
    'a lease that never expires (leaseTtlMs %d) keeps no timer spinning',
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
