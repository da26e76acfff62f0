import { type EngineLease, MemoryStore } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { Fleet, type Member } from '../../support/fleet.ts'
import { laterStore } from '../../support/later-store.ts'
import { during, failureOf, playback, setup } from '../../support/setup.ts'

const START = 'POST /events/stream_started'
const END = 'POST /events/stream_ended'

/** Two proxies on one engine with one slot. The second has read the list before the first starts a stream. */
async function pair(change?: Parameters<Fleet['join']>[1]) {
  const fleet = new Fleet({ engines: 1 })
  const [first, second] = [fleet.join({}, change), fleet.join({})]
  await during(fleet.clock, second.client.listEngines())
  return { fleet, first, second, ...fleet }
}

/** The most streams that an engine had at once, as the orchestrator saw it. */
const peak = ({ fake }: Pick<Fleet, 'fake'>): number => Math.max(...Object.values(fake.counters.peakTotalLoad))

/** Waits for a slot and starts a stream. Returns the time at which it got the slot. */
async function watch({ client }: Member, { clock }: Pick<Fleet, 'clock'>, session: string): Promise<number> {
  const lease = await client.acquireEngine({ waitMs: 30_000, provision: false })
  const at = clock.now()
  await lease.startStream(playback(undefined, session))
  return at
}

describe('[I1] two proxies that share a store and an engine with one slot', () => {
  it('never have two streams there if a start is aborted while it is in flight', async () => {
    const { fleet, first, second, fake, clock } = await pair()
    fake.inject({ kind: 'delay', route: START, delayMs: 400, applyLate: true })
    const lease = await during(clock, first.client.acquireEngine(), 10)
    const abort = new AbortController()
    const starting = lease.startStream(playback(), { signal: abort.signal }).catch(() => {})
    await clock.advance(10)
    abort.abort()
    await during(clock, Promise.all([starting, watch(second, fleet, 'session-2')]), 10)
    expect(fake.counters).toMatchObject({ startsApplied: 2, endsApplied: 1 })
    expect(peak(fleet)).toBe(1)
  })

  it('never have two streams there while an end is in flight: the slot is granted as soon as the end is acknowledged', async () => {
    const { fleet, first, second, fake, clock } = await pair()
    const lease = await during(clock, first.client.acquireEngine(), 10)
    const stream = await during(clock, lease.startStream(playback()), 10)
    fake.inject({ kind: 'delay', route: END, delayMs: 400, applyLate: true })
    const calledAt = clock.now()
    const ending = stream.end()
    const takenAt = await during(clock, watch(second, fleet, 'session-2'), 10)
    expect(takenAt - calledAt).toBe(400)
    expect(peak(fleet)).toBe(1)
    expect(await ending).toMatchObject({ outcome: 'delivered' })
  })

  it('keep the slot of an ended stream for 1 s at most while the orchestrator does not answer', async () => {
    const { fleet, first, fake, clock } = await pair()
    const lease = await during(clock, first.client.acquireEngine(), 10)
    const stream = await during(clock, lease.startStream(playback()), 10)
    fake.inject({ kind: 'delay', route: END, delayMs: 4_000, applyLate: true })
    const calledAt = clock.now()
    const ending = stream.end()
    const takenAt = await during(clock, watch(first, fleet, 'session-2'), 10)
    expect(takenAt - calledAt).toBe(1_000)
    // A proxy sends no start before its own end on that engine.
    expect(peak(fleet)).toBe(1)
    expect(await during(clock, ending)).toMatchObject({ outcome: 'delivered' })
    expect(fleet.state.memory.usage().get(lease.engine.containerId)?.streamIds.size).toBe(1)
  })

  it('release the slot within 10 ms if the end is answered with an error', async () => {
    const { fleet, first, second, fake, clock } = await pair()
    const lease = await during(clock, first.client.acquireEngine(), 10)
    const stream = await during(clock, lease.startStream(playback()), 10)
    fake.inject({ kind: 'status', route: END, times: 3 })
    const calledAt = clock.now()
    void stream.end()
    expect((await during(clock, watch(second, fleet, 'session-2'), 10)) - calledAt).toBeLessThanOrEqual(10)
  })

  it('find the slot free when end() has resolved', async () => {
    const { first, second, clock } = await pair()
    const lease = await during(clock, first.client.acquireEngine(), 10)
    const stream = await during(clock, lease.startStream(playback()), 10)
    await during(clock, stream.end(), 10)
    expect(await during(clock, second.client.acquireEngine({ waitMs: 0 }), 10)).toMatchObject({ isFallback: false })
  })

  it.each(['stream:ended', 'delivery:failed', 'engine:released'] as const)('find the slot free in a listener of %s', async (event) => {
    const { first, fake, clock } = await pair()
    const lease = await during(clock, first.client.acquireEngine(), 10)
    const stream = await during(clock, lease.startStream(playback()), 10)
    const next = Promise.withResolvers<EngineLease>()
    first.client.once(event, () => next.resolve(first.client.acquireEngine({ waitMs: 0 })))
    fake.inject({ kind: 'status', status: 400, route: END })
    expect(await during(clock, stream.end())).toMatchObject({ outcome: 'undeliverable' })
    expect((await during(clock, next.promise)).engine.containerId).toBe(lease.engine.containerId)
  })

  it('leave no slot taken if a start without a container id is aborted before it is answered', async () => {
    const { fleet, first, second, fake, clock } = await pair()
    const [engine] = await during(clock, first.client.listEngines())
    if (engine === undefined) throw new Error('no engine')
    const { host, port, containerId } = engine
    fake.inject({ kind: 'delay', route: START, delayMs: 400, applyLate: true })
    const abort = new AbortController()
    const starting = first.client.streamStarted({ ...playback(), engine: { host, port } }, { signal: abort.signal }).catch(() => {})
    await clock.advance(10)
    abort.abort()
    await during(clock, Promise.all([starting, watch(second, fleet, 'session-2')]), 10)
    await during(clock, first.client.flush())
    expect(peak(fleet)).toBe(1)
    expect([...(fleet.state.memory.usage().get(containerId)?.streamIds ?? [])]).toHaveLength(1)
  })

  it('keep the slot of an aborted stream until its end is acknowledged, if the orchestrator gave it another id', async () => {
    const fleet = new Fleet({ engines: 1, generation: '2026-04' })
    const { fake, clock } = fleet
    const { client } = fleet.join({ cacheTtlMs: 60_000 })
    const lease = await during(clock, client.acquireEngine(), 10)
    const { containerId } = lease.engine
    const slots = (): readonly string[] => [...(fleet.state.memory.usage().get(containerId)?.streamIds ?? [])]
    const body = JSON.stringify({ id: 'theirs', container_id: containerId, key_type: 'infohash', key: 'k', status: 'started' })
    fake.inject({ kind: 'status', status: 200, body, route: START, delayMs: 100 })
    fake.inject({ kind: 'delay', route: END, delayMs: 300, applyLate: true })
    const abort = new AbortController()
    const starting = lease.startStream({ ...playback(), streamId: 'ours' }, { signal: abort.signal }).catch(() => {})
    await clock.advance(50)
    fake.startElsewhere({ containerId, streamId: 'theirs' })
    abort.abort()
    await starting
    await clock.advance(150)
    await during(clock, client.listEngines({ fresh: true }), 10)
    expect(slots()).toEqual(['theirs'])
    await during(clock, client.flush(), 10)
    expect(fake.liveStreamIds()).toEqual([])
    expect(slots()).toEqual([])
    // The list that shows the stream is older than the acknowledgement of its end, so it does not count.
    expect(await during(clock, client.acquireEngine({ waitMs: 0 }), 10)).toMatchObject({ isFallback: false })
  })

  it('release the slot of an aborted start as soon as the start is rejected', async () => {
    const { fleet, first, second, fake, clock } = await pair()
    fake.inject({ kind: 'status', status: 400, route: START, delayMs: 400 })
    const lease = await during(clock, first.client.acquireEngine(), 10)
    const abort = new AbortController()
    const calledAt = clock.now()
    const starting = lease.startStream(playback(), { signal: abort.signal }).catch(() => {})
    abort.abort()
    expect((await during(clock, watch(second, fleet, 'session-2'), 10)) - calledAt).toBe(400)
    await starting
  })

  it('release the slot at once when the other proxy sends the end', async () => {
    const { first, second, clock } = await pair()
    const lease = await during(clock, first.client.acquireEngine(), 10)
    const stream = await during(clock, lease.startStream(playback()), 10)
    await during(clock, second.client.streamEnded(stream.id), 10)
    const calledAt = clock.now()
    expect(await during(clock, stream.end(), 10)).toMatchObject({ outcome: 'duplicate' })
    await during(clock, second.client.acquireEngine({ waitMs: 0 }), 10)
    expect(clock.now() - calledAt).toBeLessThanOrEqual(20)
  })

  it('leave no slot taken if a start is aborted while the store takes 1.5 s to assign the slot to its stream', async () => {
    const wait = Promise.withResolvers<void>()
    const { fleet, first, clock } = await pair((right) => ({ promote: (...slot) => wait.promise.then(() => right.promote(...slot)) }))
    const lease = await during(clock, first.client.acquireEngine(), 10)
    const abort = new AbortController()
    const starting = lease.startStream(playback(), { signal: abort.signal }).catch(() => {})
    abort.abort()
    await clock.advance(1_500)
    wait.resolve()
    await during(clock, Promise.all([starting, first.client.flush()]), 10)
    expect(fleet.state.memory.usage().size).toBe(0)
  })

  it('release the slot and leave no timer if they close while the orchestrator does not answer', async () => {
    const { fleet, first, second, fake, clock } = await pair()
    const lease = await during(clock, first.client.acquireEngine(), 10)
    await during(clock, lease.startStream(playback()), 10)
    await during(clock, second.client.close(), 10)
    fake.inject({ kind: 'lost-request', route: END })
    const closing = first.client.close({ timeoutMs: 300 })
    await clock.advance(299)
    expect(fleet.state.memory.usage().size).toBe(1)
    await clock.advance(1)
    await closing
    await clock.settle()
    expect(fleet.state.memory.usage().size).toBe(0)
    expect(clock.pendingCount).toBe(0)
  })

  it('leave no timer if they close while the store does not answer', async () => {
    const { fleet, first, second, clock } = await pair(() => ({ claimEnd: () => new Promise(() => {}) }))
    const lease = await during(clock, first.client.acquireEngine(), 10)
    await during(clock, lease.startStream(playback()), 10)
    await during(clock, second.client.close(), 10)
    await during(clock, first.client.close({ timeoutMs: 300 }), 10)
    await clock.settle()
    expect(fleet.state.memory.usage().size).toBe(0)
    expect(clock.pendingCount).toBe(0)
  })
})

describe('[I1] a stream that starts while the end of an earlier stream with its id is in flight', () => {
  /** One proxy that ends the stream `one` and has a lease for the next stream with that id. `slots` lists the streams that hold a slot. */
  async function reusedId() {
    const fleet = new Fleet({ engines: 1 })
    const { client } = fleet.join({ maxStreamsPerEngine: 2 })
    const { fake, clock } = fleet
    const start = { ...playback(), streamId: 'one' }
    const lease = await during(clock, client.acquireEngine(), 10)
    const stream = await during(clock, lease.startStream(start), 10)
    fake.inject({ kind: 'delay', route: END, delayMs: 500, applyLate: true })
    const ending = stream.end()
    const next = await during(clock, client.acquireEngine(), 10)
    const slots = (): readonly string[] => [...(fleet.state.memory.usage().get(lease.engine.containerId)?.streamIds ?? [])]
    return { fleet, clock, fake, start, ending, next, slots }
  }

  it('keeps its slot when that end is acknowledged', async () => {
    const { clock, start, ending, next, slots } = await reusedId()
    const stream = await during(clock, next.startStream(start), 10)
    await ending
    expect(slots()).toEqual(['one'])
    await during(clock, stream.end(), 10)
    expect(slots()).toEqual([])
  })

  it('keeps its slot until its own end is acknowledged', async () => {
    const { clock, fake, start, ending, next, slots } = await reusedId()
    fake.inject({ kind: 'delay', route: END, delayMs: 200, applyLate: true })
    const abort = new AbortController()
    const starting = next.startStream(start, { signal: abort.signal }).catch(() => {})
    await clock.advance(50)
    abort.abort()
    await during(clock, ending, 10)
    await clock.advance(100)
    expect(slots()).toEqual(['one'])
    await starting
    await clock.advance(200)
    expect(fake.counters).toMatchObject({ startsApplied: 2, endsApplied: 2 })
    expect(slots()).toEqual([])
  })
})

describe('a store that is slow to release the slot of a stream', () => {
  it('keeps a caller in the wait queue until the slot is released', async () => {
    const inner = laterStore(1)
    const release = Promise.withResolvers<void>()
    const store = { ...inner, releaseStream: (id: string) => release.promise.then(() => inner.releaseStream(id)) }
    const { client, clock, fake } = setup({ engines: 1 }, { store })
    const lease = await during(clock, client.acquireEngine(), 10)
    const stream = await during(clock, lease.startStream(playback()), 10)
    fake.setProvisioning({ refuse: 'general_error' })
    const next = client.acquireEngine({ waitMs: 30_000 })
    await clock.advance(100)
    const ending = stream.end()
    await clock.advance(6_000)
    expect(client.metrics().leases.waiting).toBe(1)
    expect(await ending).toMatchObject({ outcome: 'delivered' })
    release.resolve()
    expect((await during(clock, next)).engine.containerId).toBe(lease.engine.containerId)
  })

  it('delays end() by 1 s at most', async () => {
    const inner = laterStore(1)
    const release = Promise.withResolvers<void>()
    const store = { ...inner, releaseStream: (id: string) => release.promise.then(() => inner.releaseStream(id)) }
    const { client, clock } = setup({ engines: 2 }, { store })
    const start = async (session: string) => {
      const lease = await during(clock, client.acquireEngine(), 10)
      return during(clock, lease.startStream(playback(undefined, session)), 10)
    }
    const [hanging, slow] = [await start('session-1'), await start('session-2')]
    const calledAt = clock.now()
    await during(clock, hanging.end(), 10)
    expect(clock.now() - calledAt).toBe(1_000)
    const ending = slow.end()
    await clock.advance(500)
    release.resolve()
    await ending
    expect(clock.now() - calledAt).toBe(1_500)
    expect(store.inner.usage().size).toBe(0)
  })

  it('does not keep a caller in the wait queue after a release that freed no slot', async () => {
    const inner = laterStore(1)
    const release = Promise.withResolvers<void>()
    const store = { ...inner, releaseStream: () => release.promise.then(() => undefined) }
    const { client, clock, fake } = setup({ engines: 1 }, { store, cacheTtlMs: 600_000 })
    const lease = await during(clock, client.acquireEngine(), 10)
    const stream = await during(clock, lease.startStream(playback()), 10)
    fake.setProvisioning({ refuse: 'general_error' })
    const next = failureOf(client.acquireEngine({ waitMs: 30_000 }))
    await clock.advance(100)
    void stream.end()
    await clock.advance(6_000)
    const before = clock.now()
    release.resolve()
    expect(await during(clock, next)).toMatchObject({ reason: 'general_error' })
    expect(clock.now()).toBe(before)
  })
})

describe('[I1] one proxy with an engine that has one slot', () => {
  describe.each([
    ['its own store, which frees the slot at once', () => ({}), 0],
    ['a store that other proxies may share, which frees the slot when the end is acknowledged', () => ({ store: new MemoryStore() }), 400],
  ] as const)('with %s', (_name, options, freeAfterMs) => {
    it('never has two streams there if a start is aborted while it is in flight', async () => {
      const { fake, client, clock } = setup({ engines: 1 }, options())
      const lease = await during(clock, client.acquireEngine(), 10)
      fake.inject({ kind: 'delay', route: START, delayMs: 400, applyLate: true })
      const abort = new AbortController()
      const starting = lease.startStream(playback(), { signal: abort.signal }).catch(() => {})
      abort.abort()
      const calledAt = clock.now()
      const [takenAt] = await during(clock, Promise.all([watch({ client, die: () => {} }, { clock }, 'session-2'), starting]), 10)
      expect(takenAt - calledAt).toBe(freeAfterMs)
      expect(fake.counters).toMatchObject({ startsApplied: 2, endsApplied: 1 })
      expect(peak({ fake })).toBe(1)
    })

    it('never has two streams there while an end is in flight', async () => {
      const { fake, client, clock } = setup({ engines: 1 }, options())
      const lease = await during(clock, client.acquireEngine(), 10)
      const stream = await during(clock, lease.startStream(playback()), 10)
      fake.inject({ kind: 'delay', route: END, delayMs: 400, applyLate: true })
      const calledAt = clock.now()
      const ending = stream.end()
      const takenAt = await during(clock, watch({ client, die: () => {} }, { clock }, 'session-2'), 10)
      expect(takenAt - calledAt).toBe(freeAfterMs)
      expect(peak({ fake })).toBe(1)
      await ending
    })
  })
})
