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

/** A viewer who waits for a slot, then watches. Answers when it got the slot. */
async function watch({ client }: Member, { clock }: Pick<Fleet, 'clock'>, session: string): Promise<number> {
  const lease = await client.acquireEngine({ waitMs: 30_000, provision: false })
  const at = clock.now()
  await lease.startStream(playback(undefined, session))
  return at
}

describe('[I1] two proxies that share a store, before an engine with one slot', () => {
  it('never have two streams there when a viewer leaves while the start of its stream is on its way', async () => {
    const { fleet, first, second, fake, clock } = await pair()
    fake.inject({ kind: 'delay', route: START, delayMs: 400, applyLate: true })
    const lease = await during(clock, first.client.acquireEngine(), 10)
    const left = new AbortController()
    const starting = lease.startStream(playback(), { signal: left.signal }).catch(() => {})
    await clock.advance(10)
    left.abort()
    await during(clock, Promise.all([starting, watch(second, fleet, 'session-2')]), 10)
    expect(fake.counters).toMatchObject({ startsApplied: 2, endsApplied: 1 })
    expect(peak(fleet)).toBe(1)
  })

  it('never have two streams there while an end is on its way, and the slot is taken as soon as the end is acknowledged', async () => {
    const { fleet, first, second, fake, clock } = await pair()
    const lease = await during(clock, first.client.acquireEngine(), 10)
    const stream = await during(clock, lease.startStream(playback()), 10)
    fake.inject({ kind: 'delay', route: END, delayMs: 400, applyLate: true })
    const asked = clock.now()
    const ending = stream.end()
    const takenAt = await during(clock, watch(second, fleet, 'session-2'), 10)
    expect(takenAt - asked).toBe(400)
    expect(peak(fleet)).toBe(1)
    expect(await ending).toMatchObject({ outcome: 'delivered' })
  })

  it('keep the slot of a stream that is over for 1 s at most while the orchestrator hangs', async () => {
    const { fleet, first, fake, clock } = await pair()
    const lease = await during(clock, first.client.acquireEngine(), 10)
    const stream = await during(clock, lease.startStream(playback()), 10)
    fake.inject({ kind: 'delay', route: END, delayMs: 4_000, applyLate: true })
    const asked = clock.now()
    const ending = stream.end()
    const takenAt = await during(clock, watch(first, fleet, 'session-2'), 10)
    expect(takenAt - asked).toBe(1_000)
    // A proxy sends no start before its own end on that engine.
    expect(peak(fleet)).toBe(1)
    expect(await during(clock, ending)).toMatchObject({ outcome: 'delivered' })
    expect(fleet.state.memory.usage().get(lease.engine.containerId)?.streamIds.size).toBe(1)
  })

  it('do not wait for an orchestrator that fails', async () => {
    const { fleet, first, second, fake, clock } = await pair()
    const lease = await during(clock, first.client.acquireEngine(), 10)
    const stream = await during(clock, lease.startStream(playback()), 10)
    fake.inject({ kind: 'status', route: END, times: 3 })
    const asked = clock.now()
    void stream.end()
    expect((await during(clock, watch(second, fleet, 'session-2'), 10)) - asked).toBeLessThanOrEqual(10)
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

  it('have no slot left over after a start without engine id that is answered when its viewer has left', async () => {
    const { fleet, first, second, fake, clock } = await pair()
    const [engine] = await during(clock, first.client.listEngines())
    if (engine === undefined) throw new Error('no engine')
    const { host, port, containerId } = engine
    fake.inject({ kind: 'delay', route: START, delayMs: 400, applyLate: true })
    const left = new AbortController()
    const starting = first.client.streamStarted({ ...playback(), engine: { host, port } }, { signal: left.signal }).catch(() => {})
    await clock.advance(10)
    left.abort()
    await during(clock, Promise.all([starting, watch(second, fleet, 'session-2')]), 10)
    await during(clock, first.client.flush())
    expect(peak(fleet)).toBe(1)
    expect([...(fleet.state.memory.usage().get(containerId)?.streamIds ?? [])]).toHaveLength(1)
  })

  it('keep the slot of a stream that the orchestrator gives another id when its viewer has left', async () => {
    const fleet = new Fleet({ engines: 1, generation: '2026-04' })
    const { fake, clock } = fleet
    const { client } = fleet.join({ cacheTtlMs: 60_000 })
    const lease = await during(clock, client.acquireEngine(), 10)
    const { containerId } = lease.engine
    const slots = (): readonly string[] => [...(fleet.state.memory.usage().get(containerId)?.streamIds ?? [])]
    const body = JSON.stringify({ id: 'theirs', container_id: containerId, key_type: 'infohash', key: 'k', status: 'started' })
    fake.inject({ kind: 'status', status: 200, body, route: START, delayMs: 100 })
    fake.inject({ kind: 'delay', route: END, delayMs: 300, applyLate: true })
    const left = new AbortController()
    const starting = lease.startStream({ ...playback(), streamId: 'ours' }, { signal: left.signal }).catch(() => {})
    await clock.advance(50)
    fake.startElsewhere({ containerId, streamId: 'theirs' })
    left.abort()
    await starting
    await clock.advance(150)
    await during(clock, client.listEngines({ fresh: true }), 10)
    expect(slots()).toEqual(['theirs'])
    await during(clock, client.flush(), 10)
    expect(fake.liveStreamIds()).toEqual([])
    expect(slots()).toEqual([])
    // The list that shows the stream is older than the acknowledgement of its end.
    expect(await during(clock, client.acquireEngine({ waitMs: 0 }), 10)).toMatchObject({ isFallback: false })
  })

  it('release the slot as soon as the start is refused of a stream whose viewer has left', async () => {
    const { fleet, first, second, fake, clock } = await pair()
    fake.inject({ kind: 'status', status: 400, route: START, delayMs: 400 })
    const lease = await during(clock, first.client.acquireEngine(), 10)
    const left = new AbortController()
    const asked = clock.now()
    const starting = lease.startStream(playback(), { signal: left.signal }).catch(() => {})
    left.abort()
    expect((await during(clock, watch(second, fleet, 'session-2'), 10)) - asked).toBe(400)
    await starting
  })

  it('release the slot at once when the other proxy sends the end', async () => {
    const { first, second, clock } = await pair()
    const lease = await during(clock, first.client.acquireEngine(), 10)
    const stream = await during(clock, lease.startStream(playback()), 10)
    await during(clock, second.client.streamEnded(stream.id), 10)
    const asked = clock.now()
    expect(await during(clock, stream.end(), 10)).toMatchObject({ outcome: 'duplicate' })
    await during(clock, second.client.acquireEngine({ waitMs: 0 }), 10)
    expect(clock.now() - asked).toBeLessThanOrEqual(20)
  })

  it('leave no slot behind when the store takes 1.5 s to hand the slot to a stream whose viewer has left', async () => {
    const wait = Promise.withResolvers<void>()
    const { fleet, first, clock } = await pair((right) => ({ promote: (...slot) => wait.promise.then(() => right.promote(...slot)) }))
    const lease = await during(clock, first.client.acquireEngine(), 10)
    const left = new AbortController()
    const starting = lease.startStream(playback(), { signal: left.signal }).catch(() => {})
    left.abort()
    await clock.advance(1_500)
    wait.resolve()
    await during(clock, Promise.all([starting, first.client.flush()]), 10)
    expect(fleet.state.memory.usage().size).toBe(0)
  })

  it('release the slot and leave no timer when they close while the orchestrator hangs', async () => {
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

  it('leave no timer when they close while the store does not answer', async () => {
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

describe('[I1] a stream that starts again under its id while the end of its earlier life is on its way', () => {
  /** One proxy, and how many slots it holds for streams. The earlier life has ended, and a lease is there for the later one. */
  async function twoLives() {
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
    const { clock, start, ending, next, slots } = await twoLives()
    const stream = await during(clock, next.startStream(start), 10)
    await ending
    expect(slots()).toEqual(['one'])
    await during(clock, stream.end(), 10)
    expect(slots()).toEqual([])
  })

  it('keeps its slot until its own end is acknowledged', async () => {
    const { clock, fake, start, ending, next, slots } = await twoLives()
    fake.inject({ kind: 'delay', route: END, delayMs: 200, applyLate: true })
    const left = new AbortController()
    const starting = next.startStream(start, { signal: left.signal }).catch(() => {})
    await clock.advance(50)
    left.abort()
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
  it('keeps a caller in the line until the slot is released', async () => {
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

  it('lets end() wait for that, 1 s at most from the call', async () => {
    const inner = laterStore(1)
    const release = Promise.withResolvers<void>()
    const store = { ...inner, releaseStream: (id: string) => release.promise.then(() => inner.releaseStream(id)) }
    const { client, clock } = setup({ engines: 2 }, { store })
    const start = async (session: string) => {
      const lease = await during(clock, client.acquireEngine(), 10)
      return during(clock, lease.startStream(playback(undefined, session)), 10)
    }
    const [hanging, slow] = [await start('session-1'), await start('session-2')]
    const asked = clock.now()
    await during(clock, hanging.end(), 10)
    expect(clock.now() - asked).toBe(1_000)
    const ending = slow.end()
    await clock.advance(500)
    release.resolve()
    await ending
    expect(clock.now() - asked).toBe(1_500)
    expect(store.inner.usage().size).toBe(0)
  })

  it('keeps nobody in the line whom it brings no slot', async () => {
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

describe('[I1] one proxy before an engine with one slot', () => {
  describe.each([
    ['its own store, whose slot is free at once', () => ({}), 0],
    ['a store that others may share', () => ({ store: new MemoryStore() }), 400],
  ] as const)('with %s', (_name, options, freeAfterMs) => {
    it('never has two streams there when a viewer leaves while the start of its stream is on its way', async () => {
      const { fake, client, clock } = setup({ engines: 1 }, options())
      const lease = await during(clock, client.acquireEngine(), 10)
      fake.inject({ kind: 'delay', route: START, delayMs: 400, applyLate: true })
      const left = new AbortController()
      const starting = lease.startStream(playback(), { signal: left.signal }).catch(() => {})
      left.abort()
      const asked = clock.now()
      const [takenAt] = await during(clock, Promise.all([watch({ client, die: () => {} }, { clock }, 'session-2'), starting]), 10)
      expect(takenAt - asked).toBe(freeAfterMs)
      expect(fake.counters).toMatchObject({ startsApplied: 2, endsApplied: 1 })
      expect(peak({ fake })).toBe(1)
    })

    it('never has two streams there while an end is on its way', async () => {
      const { fake, client, clock } = setup({ engines: 1 }, options())
      const lease = await during(clock, client.acquireEngine(), 10)
      const stream = await during(clock, lease.startStream(playback()), 10)
      fake.inject({ kind: 'delay', route: END, delayMs: 400, applyLate: true })
      const asked = clock.now()
      const ending = stream.end()
      const takenAt = await during(clock, watch({ client, die: () => {} }, { clock }, 'session-2'), 10)
      expect(takenAt - asked).toBe(freeAfterMs)
      expect(peak({ fake })).toBe(1)
      await ending
    })
  })
})
