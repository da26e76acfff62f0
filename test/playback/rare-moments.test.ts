import { CapacityError, type StateStore } from 'acestream-orchestrator-client'
import type { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { laterStore } from '../support/later-store.ts'
import { world } from '../support/playback-world.ts'
import { during, failureOf } from '../support/setup.ts'

const START = 'POST /events/stream_started'

/** A store that answers at once, except for the named methods: these take `delayMs` of a clock that the test sets once it exists. */
function slowStore(delayMs: number, names: readonly ('releaseStream' | 'releaseLease')[]) {
  const time: { clock?: ManualClock } = {}
  const store: StateStore = laterStore(0)
  for (const name of names) {
    const answer = store[name]
    store[name] = async (id) => {
      await new Promise<void>((resolve) => void time.clock?.setTimeout(resolve, delayMs))
      return answer(id)
    }
  }
  return { store, time }
}

describe('with a store that takes 500 ms to release a slot', () => {
  it('a caller that waits ends one lingering stream, not a second one while the first slot is being released', async () => {
    const { store, time } = slowStore(500, ['releaseStream'])
    const { client, clock, host, join } = world({ engines: 2 }, { store })
    time.clock = clock
    for (const key of ['1', '2']) await (await during(clock, join({ key: key.padStart(40, '0'), lingerMs: 60_000 }))).leave()
    const lease = await during(clock, client.acquireEngine({ provision: false }))
    expect([host.closes.size, client.metrics().streams.lingering]).toEqual([1, 1])
    await during(clock, lease.release())
  })

  it('a viewer who joins without waiting while the content ends gets the slot that the end releases', async () => {
    const { store, time } = slowStore(500, ['releaseStream'])
    const { clock, host, join } = world({ engines: 1 }, { store })
    time.clock = clock
    await (await during(clock, join({ lingerMs: 0 }))).leave()
    const viewer = await during(clock, join({ waitMs: 0 }))
    expect([viewer.isFirst, host.peaks]).toEqual([true, new Map([[viewer.stream.engine.containerId, 1]])])
  })
})

describe('with a store that takes 500 ms to release a slot, after a viewer who aborted while the start was sent', () => {
  it('a viewer who joins without waiting gets the slot', async () => {
    const { store, time } = slowStore(500, ['releaseStream'])
    const { clock, fake, join } = world({ engines: 1 }, { store })
    time.clock = clock
    await clock.settle()
    fake.inject({ kind: 'delay', delayMs: 300, route: START })
    const first = new AbortController()
    const aborted = failureOf(join({ signal: first.signal }))
    await clock.advance(100)
    first.abort('left')
    expect(await aborted).toBe('left')
    const viewer = await during(clock, join({ waitMs: 0 }))
    expect(viewer.isFirst).toBe(true)
  })
})

describe('a viewer who aborts', () => {
  it('is rejected at once also while the playback of a refused start is being closed', async () => {
    const { client, fake, host, open, clock } = world({ engines: 1 })
    fake.inject({ kind: 'status', status: 422, body: '{"detail":[]}', route: START })
    host.onClose = () => ({ delayMs: 3_000 })
    const viewer = new AbortController()
    const opening = failureOf(open({ signal: viewer.signal }))
    await clock.advance(1_000)
    viewer.abort('left')
    expect(await Promise.race([opening, clock.advance(0).then(() => 'still pending')])).toBe('left')
    await clock.advance(2_000)
    expect([host.closes.get('session 1'), client.metrics().streams.live, client.metrics().leases.active]).toEqual([1, 0, 0])
  })

  it('is rejected at once also while the lease of an engine that failed is being released', async () => {
    const { store, time } = slowStore(2_000, ['releaseLease'])
    const { host, open, clock } = world({ engines: 2 }, { store })
    time.clock = clock
    host.onOpen = () => ({ error: new Error('HTTP 500') })
    const viewer = new AbortController()
    const opening = failureOf(open({ signal: viewer.signal }))
    await clock.advance(500)
    viewer.abort('left')
    expect(await Promise.race([opening, clock.advance(0).then(() => 'still pending')])).toBe('left')
    expect(host.openCount).toBe(1)
  })
})

/** Counts the listeners of abort signals that are added and not removed, until `stop`. A listener that was called once counts as removed. */
function countAbortListeners() {
  const { addEventListener, removeEventListener } = EventTarget.prototype
  const active = new Set<unknown>()
  EventTarget.prototype.addEventListener = function (this: EventTarget, type, listener, options) {
    active.add(listener)
    addEventListener.call(this, type, listener, options)
    if (typeof options === 'object' && options?.once === true)
      addEventListener.call(this, type, () => active.delete(listener), { once: true })
  }
  EventTarget.prototype.removeEventListener = function (this: EventTarget, type, listener, options) {
    active.delete(listener)
    removeEventListener.call(this, type, listener, options)
  }
  return {
    get count() {
      return active.size
    },
    stop: () => Object.assign(EventTarget.prototype, { addEventListener, removeEventListener }),
  }
}

describe('a playback whose `close` never settles', () => {
  it('leaves no listener behind on the signal of the client, once its time is up', async () => {
    const { host, open, clock } = world({ engines: 1 })
    host.onClose = () => ({ delayMs: Number.POSITIVE_INFINITY })
    const listeners = countAbortListeners()
    const streamOver = async (): Promise<void> => {
      const stream = await open()
      const ended = stream.end()
      await clock.advance(5_000)
      await ended
    }
    await streamOver()
    const before = listeners.count
    for (let n = 0; n < 5; n += 1) await streamOver()
    listeners.stop()
    expect(listeners.count - before).toBe(0)
  })
})

describe('close() of the client', () => {
  it('does not count a stream that its host ended before as live, and reports no duplicate end of it', async () => {
    const { client, host, open, clock } = world({ engines: 2 })
    host.onClose = () => ({ delayMs: 1_000 })
    const [first] = [await open({ key: 'x' }), await open({ key: 'y' })]
    const duplicates: unknown[] = []
    client.on('stream:duplicate-end', (event) => duplicates.push(event))
    const ended = first?.end()
    const closed = client.close()
    await clock.advance(1_000)
    expect([await closed, (await ended)?.outcome]).toEqual([{ delivered: 1, undelivered: [] }, 'delivered'])
    expect([duplicates, client.metrics().events.duplicatesPrevented]).toEqual([[], 0])
  })

  it.each(['openStream', 'joinStream'])('ends a stream once that %s opens at this moment, in whatever step it comes', async (call) => {
    for (let ticks = 0; ticks < 30; ticks += 1) {
      const { client, fake, host, open, join } = world({ engines: 1 })
      const started = new Promise<void>((resolve) => client.once('stream:started', () => resolve()))
      const opening: Promise<unknown> = call === 'openStream' ? open() : join()
      opening.catch(() => {})
      await started
      for (let tick = 0; tick < ticks; tick += 1) await Promise.resolve()
      const closed = await client.close()
      await opening.catch(() => {})
      const { endsApplied } = fake.counters
      expect([ticks, closed.undelivered, endsApplied, client.metrics().events.duplicatesPrevented]).toEqual([ticks, [], 1, 0])
      expect(host.closes).toEqual(new Map([['session 1', 1]]))
    }
  })
})

describe('a lease under a playback that opens', () => {
  it('lasts until the slot is released, although `open` takes longer than leaseTtlMs and never settles', async () => {
    const { client, host, open, clock } = world({ engines: 1 }, { leaseTtlMs: 1_000 })
    host.onOpen = () => ({ delayMs: Number.POSITIVE_INFINITY })
    const opening = failureOf(open({ engineAttempts: 1 }))
    await clock.advance(25_000)
    await opening
    expect([client.metrics().leases.active, client.metrics().leases.expired]).toEqual([0, 0])
  })
})

describe('a lingering stream', () => {
  it('stays if another one ends already for a caller that has left, and the next caller gets that slot', async () => {
    const { client, host, join, clock } = world({ engines: 2 })
    host.onClose = () => ({ delayMs: 1_000 })
    for (const key of ['1', '2']) await (await join({ key: key.padStart(40, '0'), lingerMs: 60_000 })).leave()
    const first = new AbortController()
    const left = failureOf(client.acquireEngine({ provision: false, signal: first.signal }))
    await clock.advance(100)
    first.abort('left')
    expect(await left).toBe('left')
    const second = client.acquireEngine({ provision: false })
    await clock.advance(900)
    await second
    expect([host.closes.size, client.metrics().streams.lingering]).toEqual([1, 1])
  })

  it('ends for a caller that wants a healthy engine, although one on an unhealthy engine ends for a caller that has left', async () => {
    const { client, fake, host, join, clock } = world({ engines: 2, provisionDelayMs: 60_000 })
    host.onClose = ({ session }) => ({ delayMs: session === 'session 1' ? 4_000 : 0 })
    const viewers = [await join({ key: '1', lingerMs: 60_000 }), await join({ key: '2', lingerMs: 60_000 })]
    const engines = viewers.map(({ stream }) => stream.engine.containerId ?? '')
    fake.updateEngine(engines[0] ?? '', { healthStatus: 'unhealthy' })
    await client.listEngines({ fresh: true })
    for (const viewer of viewers) await viewer.leave()
    const first = new AbortController()
    const left = failureOf(client.acquireEngine({ provision: false, exclude: engines.slice(1), signal: first.signal }))
    await clock.advance(100)
    first.abort('left')
    expect([await left, [...host.closes.keys()]]).toEqual(['left', ['session 1']])
    const lease = client.acquireEngine()
    await clock.advance(100)
    expect([(await lease).engine.containerId, host.closes.size]).toEqual([engines[1], 2])
  })
})

describe('a viewer with waitMs 0 who joins in the moment in which the opening gets its engine', () => {
  it('shares the stream', async () => {
    for (let ticks = 0; ticks < 12; ticks += 1) {
      const { client, join, clock } = world({ engines: 1 })
      const lease = await client.acquireEngine()
      const first = join({ provision: false })
      await clock.advance(100)
      await lease.release()
      for (let tick = 0; tick < ticks; tick += 1) await Promise.resolve()
      // Before, no engine is free: it does not wait for one.
      const isServed = client.metrics().leases.waiting === 0
      const second = join({ waitMs: 0 })
      const result = await second.catch((error: unknown) => error)
      await first
      if (isServed) expect([ticks, result]).not.toEqual([ticks, expect.any(CapacityError)])
    }
  })
})

describe('many viewers who wait for one content', () => {
  it('cost little: the 2,000th join arms no timer for those before it', async () => {
    const { client, join, clock } = world({ engines: 1 })
    const lease = await client.acquireEngine({ provision: false })
    let armed = 0
    const { setTimeout } = clock
    clock.setTimeout = (callback, delayMs) => {
      armed += 1
      return setTimeout.call(clock, callback, delayMs)
    }
    const viewers: Promise<unknown>[] = []
    for (let n = 0; n < 2_000; n += 1) {
      viewers.push(join({ provision: false }))
      await clock.advance(1)
    }
    await lease.release()
    await Promise.all(viewers)
    expect(armed).toBeLessThan(20_000)
  })
})

describe('an opening that several viewers wait for', () => {
  it.each([100, 1_000])('requests no engine once the viewers that allow it have left, after %d ms', async (afterMs) => {
    const { client, fake, join, clock } = world({ engines: 1 }, { cacheTtlMs: 5_000 })
    const lease = await client.acquireEngine()
    await clock.advance(6_000)
    fake.inject({ kind: 'delay', delayMs: 3_000, route: 'GET /engines' })
    const viewer = new AbortController()
    const first = failureOf(join({ signal: viewer.signal }))
    const second = join({ provision: false })
    await clock.advance(afterMs)
    viewer.abort('left')
    expect(await first).toBe('left')
    await clock.advance(8_000)
    expect(fake.counters.enginesProvisioned).toBe(0)
    await lease.release()
    expect((await second).isFirst).toBe(true)
  })
})

describe('a store that does not answer any more', () => {
  it.each(['releaseStream', 'append', 'releaseLease', 'promote'] as const)('in %s leaves no timer and no playback behind', async (name) => {
    const store = laterStore(0)
    const { client, clock, host, open } = world({ engines: 2 }, { store })
    const stream = await during(clock, open())
    store[name] = () => new Promise<never>(() => {})
    const others = [stream.end(), open({ key: 'other' })]
    for (const other of others) other.catch(() => {})
    await clock.advance(10)
    const closed = client.close({ timeoutMs: 500 })
    await clock.advance(500)
    await closed
    await clock.settle()
    expect([clock.pendingCount, host.closes]).toEqual([0, new Map([...host.closes.keys()].map((session) => [session, 1]))])
    expect([host.closes.size, host.sessions.size]).toEqual([2, 0])
  })

  it('in releaseLease keeps neither the next viewer of the content waiting nor flush()', async () => {
    const store = laterStore(0)
    const { client, clock, join } = world({ engines: 2 }, { store })
    store.releaseLease = () => new Promise<never>(() => {})
    const viewer = new AbortController()
    const left = failureOf(join({ signal: viewer.signal, open: () => new Promise(() => {}) }))
    await clock.advance(100)
    viewer.abort('left')
    expect(await left).toBe('left')
    const next = join()
    await clock.advance(7_000)
    expect((await next).isFirst).toBe(true)
    await client.flush()
  })
})

describe('while an old engine list is refreshed', () => {
  it('a viewer who waits keeps its place before later callers, also if the first viewer of its content did not wait', async () => {
    const { client, fake, join, clock } = world({ engines: 1 }, { cacheTtlMs: 5_000 })
    const lease = await client.acquireEngine()
    await clock.advance(6_000)
    fake.inject({ kind: 'delay', delayMs: 2_000, route: 'GET /engines' })
    const first = join({ waitMs: 0 }).catch((error: unknown) => error)
    await clock.advance(500)
    const served: string[] = []
    const second = join({ provision: false, lingerMs: 0 }).then((viewer) => {
      served.push('second')
      return viewer.leave()
    })
    const third = client.acquireEngine({ provision: false }).then((other) => {
      served.push('third')
      return other.release()
    })
    await clock.advance(3_000)
    expect(await first).toBeInstanceOf(CapacityError)
    await lease.release()
    await Promise.all([second, third])
    expect(served).toEqual(['second', 'third'])
  })

  it('a viewer with waitMs 0 is not rejected before that, also beside a viewer that waits', async () => {
    const { client, fake, join, clock } = world({ engines: 1 }, { cacheTtlMs: 5_000 })
    const lease = await client.acquireEngine()
    await clock.advance(6_000)
    fake.inject({ kind: 'delay', delayMs: 1_000, route: 'GET /engines' })
    fake.addEngine()
    const viewers = [join({ provision: false }), join({ waitMs: 0 })]
    const results = Promise.all(viewers.map((viewer) => viewer.catch((error: unknown) => error)))
    await clock.advance(3_000)
    expect(await results).not.toContainEqual(expect.any(CapacityError))
    await lease.release()
  })
})
