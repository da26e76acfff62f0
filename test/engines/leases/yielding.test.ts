import { type StateStore, StoreError, type StreamHandle } from 'acestream-orchestrator-client'
import { GENERATIONS, type ManualClock } from 'acestream-orchestrator-client/testing'
import fc from 'fast-check'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import type { AllocatorParts } from '../../../src/engines/leases/allocator.ts'
import type { YieldSlot } from '../../../src/engines/leases/slot-yielding.ts'
import { allocatorOf } from '../../support/inner-parts.ts'
import { distantStore, laterStore } from '../../support/later-store.ts'
import { during, playback, setup } from '../../support/setup.ts'

/** The function that the allocator of each client in this file gets. */
const given = vi.hoisted((): { yieldSlot: YieldSlot | undefined } => ({ yieldSlot: undefined }))

vi.mock('../../../src/engines/leases/allocator.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../../src/engines/leases/allocator.ts')>()
  class YieldingAllocator extends original.Allocator {
    constructor(parts: AllocatorParts) {
      super({ ...parts, yieldSlot: (accepts) => given.yieldSlot?.(accepts) })
    }
  }
  return { ...original, Allocator: YieldingAllocator }
})

beforeEach(() => {
  given.yieldSlot = undefined
})

const PROVISION = 'POST /provision/acestream'
const STORES: [string, () => StateStore | undefined][] = [
  ['the default store', () => undefined],
  ['a store that answers later', () => laterStore(2)],
]

/** Time passes in small steps, so that a store which answers later keeps up. */
async function pass(clock: ManualClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 20) await clock.advance(20)
}

interface WorldOptions {
  fake?: Parameters<typeof setup>[0]
  client?: Parameters<typeof setup>[1]
  /** How long the close of each lingering stream takes, by the order in which they began to linger. */
  closeMs?: readonly number[]
}

/** A lingering stream on each engine, which the client ends for callers that wait. */
async function lingeringWorld(engines: number, { fake: fakeOptions, client: clientOptions, closeMs = [] }: WorldOptions = {}) {
  const world = setup({ engines, ...fakeOptions }, { leaseTtlMs: 3_600_000, ...clientOptions })
  const { client, clock, fake } = world
  const streams: { readonly handle: StreamHandle; readonly containerId: string; readonly closeMs: number }[] = []
  for (let index = 0; index < engines; index += 1) {
    const lease = await during(clock, client.acquireEngine(), 1)
    const handle = await during(clock, lease.startStream(playback(`${index}`.repeat(40), `session-${index}`)), 1)
    streams.push({ handle, containerId: lease.engine.containerId, closeMs: closeMs[index] ?? 0 })
  }
  const lingering = [...streams]
  let asked = 0
  const yieldSlot: YieldSlot = (accepts) => {
    asked += 1
    const stream = lingering.find(({ containerId }) => accepts(containerId))
    if (stream === undefined) return undefined
    lingering.splice(lingering.indexOf(stream), 1)
    const closed = stream.closeMs === 0 ? undefined : new Promise((resolve) => clock.setTimeout(() => resolve(undefined), stream.closeMs))
    return Promise.resolve(closed).then(async () => void (await stream.handle.end()))
  }
  given.yieldSlot = yieldSlot
  const outcomes: unknown[] = []
  const call = (name: string, options: Parameters<typeof client.acquireEngine>[0] = {}): void => {
    const since = clock.now()
    client.acquireEngine(options).then(
      ({ engine }) =>
        outcomes.push([name, streams.findIndex(({ containerId }) => containerId === engine.containerId), clock.now() - since]),
      (error: { reason?: string; code: string }) => outcomes.push([name, error.reason ?? error.code, clock.now() - since]),
    )
  }
  return {
    ...world,
    ids: streams.map(({ containerId }) => containerId),
    outcomes,
    call,
    /** Indices of the streams that still linger. */
    left: () => lingering.map(({ handle }) => streams.findIndex((stream) => stream.handle === handle)),
    asked: () => asked,
    requests: () => fake.counters.requests.byRoute[PROVISION] ?? 0,
  }
}

describe.each(STORES)('a caller that waits, with %s', (_, makeStore) => {
  const world = (engines: number, options: WorldOptions = {}) => {
    const store = makeStore()
    return lingeringWorld(engines, { ...options, client: { ...options.client, ...(store === undefined ? {} : { store }) } })
  }

  it('gets the slot of the stream that lingers the longest, and no engine is requested', async () => {
    const { clock, call, outcomes, left, requests } = await world(3)
    call('only')
    await pass(clock, 1_000)
    expect(outcomes).toEqual([['only', 0, expect.any(Number)]])
    expect([left(), requests()]).toEqual([[1, 2], 0])
  })

  it('ends one stream, as each other caller does, and they are served in the order of their calls', async () => {
    const { clock, call, outcomes, left, requests } = await world(4, { closeMs: [1_000, 1_000, 1_000, 1_000] })
    for (const name of ['first', 'second', 'third']) call(name)
    await pass(clock, 1_500)
    expect(outcomes.map((outcome) => (outcome as unknown[])[0])).toEqual(['first', 'second', 'third'])
    expect([left(), requests()]).toEqual([[3], 0])
  })

  it('ends the next stream if the first one did not free its slot', async () => {
    const { client, clock, call, outcomes, left } = await world(2)
    const end = given.yieldSlot
    let isStuck = true
    given.yieldSlot = (accepts) => {
      if (!isStuck) return end?.(accepts)
      isStuck = false
      return Promise.reject(new Error('the store is away'))
    }
    call('only')
    await pass(clock, 1_000)
    expect(outcomes).toEqual([['only', 0, expect.any(Number)]])
    expect([left(), client.metrics().leases.waiting]).toEqual([[1], 0])
  })

  it('takes over the slot that was meant for an earlier caller, if the earlier one took the slot that was meant for it', async () => {
    const { clock, call, outcomes, requests } = await world(2, { closeMs: [5_000, 500] })
    call('first')
    call('second')
    await pass(clock, 6_000)
    expect(outcomes.map((outcome) => (outcome as unknown[]).slice(0, 2))).toEqual([
      ['first', 1],
      ['second', 0],
    ])
    expect(requests()).toBe(0)
  })

  it('takes over the slot of a stream that is ending for a caller which has left', async () => {
    const { client, clock, call, outcomes, requests } = await world(1, { closeMs: [5_000] })
    const abort = new AbortController()
    call('left', { signal: abort.signal })
    await pass(clock, 1_000)
    abort.abort('left')
    call('stays')
    await pass(clock, 5_000)
    expect(outcomes).toContainEqual(['stays', 0, expect.any(Number)])
    expect([requests(), client.metrics().leases.waiting]).toEqual([0, 0])
  })

  it('gets another slot if another proxy takes the one that was freed for it', async () => {
    const store = laterStore()
    const { clock, ids, call, outcomes, left, requests } = await lingeringWorld(2, { client: { store } })
    const release = store.inner.releaseStream.bind(store.inner)
    store.inner.releaseStream = (streamId) => {
      const containerId = release(streamId)
      if (containerId === ids[0]) store.inner.occupy(containerId ?? '', 'elsewhere')
      return containerId
    }
    call('only')
    await pass(clock, 2_000)
    expect(outcomes).toEqual([['only', 1, expect.any(Number)]])
    expect([left(), requests()]).toEqual([[], 0])
  })
})

describe.each(GENERATIONS)('while a stream is ending for a caller, on %s', (generation) => {
  const options = { fake: { generation, provisionDelayMs: 1_000 }, client: { watch: false } } as const

  it('no engine is requested for that caller, and one is requested for each other caller', async () => {
    const { client, clock, call, requests } = await lingeringWorld(1, { ...options, closeMs: [5_000] })
    const allocator = await allocatorOf(client)
    call('first')
    await clock.advance(500)
    expect([allocator.waitingCount, allocator.provisioningCount, requests()]).toEqual([1, 0, 0])
    call('second')
    await clock.advance(500)
    expect([allocator.waitingCount, allocator.provisioningCount, requests()]).toEqual([2, 1, 1])
  })

  it('several callers which have left leave their slots to as many others, for which no engine is requested', async () => {
    const { clock, call, requests, outcomes } = await lingeringWorld(2, { ...options, closeMs: [5_000, 5_000] })
    const abort = new AbortController()
    for (const name of ['left', 'left too']) call(name, { signal: abort.signal })
    await clock.advance(500)
    abort.abort()
    for (const name of ['first', 'second']) call(name)
    await pass(clock, 4_000)
    expect(requests()).toBe(0)
    await pass(clock, 2_000)
    expect(outcomes.slice(2).map((outcome) => (outcome as unknown[])[0])).toEqual(['first', 'second'])
  })

  it('a refusal to start an engine does not reject that caller, but another one', async () => {
    const { clock, fake, call, outcomes } = await lingeringWorld(1, { ...options, closeMs: [8_000] })
    fake.setProvisioning({ refuse: 'circuit_breaker' })
    call('first')
    call('second')
    await pass(clock, 9_000)
    expect(outcomes).toEqual([
      ['second', 'circuit_breaker', 2_000],
      ['first', 0, 8_000],
    ])
  })
})

describe('a stream that ended without freeing its slot', () => {
  it('leaves its caller to the refusal, and to the engines that are requested', async () => {
    const { client, clock, fake, call, outcomes, requests } = await lingeringWorld(1)
    const allocator = await allocatorOf(client)
    given.yieldSlot = () => {
      given.yieldSlot = undefined
      return new Promise((resolve) => clock.setTimeout(() => resolve(), 4_100))
    }
    fake.setProvisioning({ refuse: 'vpn_disconnected' })
    call('only')
    await clock.advance(4_050)
    expect([allocator.provisioningCount, requests(), outcomes.length]).toEqual([0, 0, 0])
    await clock.advance(50)
    expect([requests(), outcomes]).toEqual([1, [['only', 'vpn_disconnected', 4_100]]])
  })
})

describe('a lingering stream', () => {
  it('is not ended for a caller with waitMs 0, also behind a caller that excludes its engine and waits', async () => {
    const { clock, ids, call, outcomes, left, asked } = await lingeringWorld(1)
    call('at once', { waitMs: 0 })
    await clock.settle()
    expect([outcomes, left(), asked()]).toEqual([[['at once', 'full', 0]], [0], 0])
    call('excludes', { exclude: ids, provision: false })
    call('behind', { waitMs: 0 })
    await clock.advance(1_000)
    expect([outcomes.length, left()]).toEqual([2, [0]])
  })

  it('is not ended for a caller with waitMs 0 that is rejected only after an old list was refreshed', async () => {
    const { clock, fake, call, outcomes, asked } = await lingeringWorld(1)
    await clock.advance(3_000)
    fake.latencyMs = 600
    call('at once', { waitMs: 0, provision: false })
    await pass(clock, 1_000)
    expect([outcomes, asked()]).toEqual([[['at once', 'full', 600]], 0])
  })

  it('is not ended while the store cannot tell whether an engine has room', async () => {
    const store = laterStore()
    const { clock, call, asked } = await lingeringWorld(1, { client: { store } })
    store.take = () => Promise.reject(new StoreError('the store is away', { reason: 'unavailable' }))
    store.usage = () => Promise.reject(new StoreError('the store is away', { reason: 'unavailable' }))
    call('only', { waitMs: 3_000, provision: false })
    await pass(clock, 3_000)
    expect(asked()).toBe(0)
  })

  it('is not ended on an engine that is not listed', async () => {
    const { clock, ids, call } = await lingeringWorld(1)
    const yieldSlot = vi.fn<YieldSlot>()
    given.yieldSlot = yieldSlot
    call('only', { provision: false })
    await clock.advance(100)
    const [accepts] = yieldSlot.mock.calls[0] ?? []
    expect([accepts?.(ids[0] ?? ''), accepts?.('not-listed')]).toEqual([true, false])
  })

  it('is not ended for a caller that gets a slot which was freed while it looked for one', async () => {
    /** The caller calls at 0 ms, and another slot is freed at `freedAtMs`. When was a stream asked to end? */
    const askedAt = async (freedAtMs: number): Promise<number | undefined> => {
      const { store, time } = distantStore(5)
      const { client, clock } = setup({ engines: 1 }, { store, leaseTtlMs: 3_600_000 })
      time.clock = clock
      const held = await during(clock, client.acquireEngine(), 1)
      let at: number | undefined
      const since = clock.now()
      given.yieldSlot = () => {
        at ??= clock.now() - since
        return undefined
      }
      client.acquireEngine({ provision: false, waitMs: 60_000 }).catch(() => {})
      for (let passed = 0; passed < 40; passed += 1) {
        if (passed === freedAtMs) void held.release()
        await clock.advance(1)
      }
      return at
    }
    const withoutRelease = (await askedAt(1_000)) ?? 0
    expect(withoutRelease).toBeGreaterThan(5)
    // The store takes 5 ms to free the slot.
    for (let freedAtMs = 0; freedAtMs + 5 < withoutRelease; freedAtMs += 1) {
      expect([freedAtMs, await askedAt(freedAtMs)]).toEqual([freedAtMs, undefined])
    }
  })

  it('is not ended for a caller that finds an engine with room', async () => {
    const { client, clock, call, outcomes, asked } = await lingeringWorld(2, { client: { maxStreamsPerEngine: 2 } })
    call('only')
    await clock.advance(100)
    expect([outcomes.length, asked(), client.metrics().streams.live]).toEqual([1, 0, 2])
  })

  it('is not ended on an engine that the caller excludes; one on another engine is', async () => {
    const { clock, ids, call, outcomes, left } = await lingeringWorld(2)
    call('only', { exclude: ids.slice(0, 1) })
    await clock.advance(100)
    expect([outcomes, left()]).toEqual([[['only', 1, 0]], [0]])
  })

  it('is not ended on an engine that is draining (H21)', async () => {
    const { client, clock, fake, ids, call, left } = await lingeringWorld(2, { fake: { generation: 'v1' }, client: { watch: false } })
    fake.updateEngine(ids[0] ?? '', { draining: true })
    await during(clock, client.listEngines({ fresh: true }), 1)
    call('only', { provision: false })
    await clock.advance(100)
    expect(left()).toEqual([0])
  })

  it('is ended on an unhealthy engine only for a caller for which no engine may be requested', async () => {
    const { client, clock, fake, ids, call, left } = await lingeringWorld(1, { fake: { provisionDelayMs: 5_000 } })
    fake.updateEngine(ids[0] ?? '', { healthStatus: 'unhealthy' })
    await during(clock, client.listEngines({ fresh: true }), 1)
    call('may request')
    await clock.advance(100)
    expect(left()).toEqual([0])
    call('only waits', { provision: false })
    await clock.advance(100)
    expect(left()).toEqual([])
  })

  it('is not ended on an ejected engine', async () => {
    const { client, clock, ids, call, left } = await lingeringWorld(2, { client: { maxStreamsPerEngine: 2 } })
    for (let i = 0; i < 3; i += 1) await (await client.acquireEngine({ exclude: ids.slice(1), waitMs: 0 })).fail()
    await client.acquireEngine({ waitMs: 0 })
    call('only', { provision: false })
    await clock.advance(100)
    expect(left()).toEqual([0])
  })

  it('is not ended while there is no engine list that callers may be served from (H14)', async () => {
    const { clock, fake, call, asked } = await lingeringWorld(1, { client: { staleIfErrorMs: 0 } })
    fake.inject({ kind: 'refused', times: Number.POSITIVE_INFINITY })
    await clock.advance(30_000)
    call('only', { waitMs: 10_000 })
    await clock.advance(11_000)
    expect(asked()).toBe(0)
  })

  it('is looked for once in each round, however many callers accept any engine', async () => {
    const { clock, fake, ids, call } = await lingeringWorld(1, { fake: { provisionDelayMs: 5_000 } })
    fake.updateEngine(ids[0] ?? '', { healthStatus: 'unhealthy' })
    const yieldSlot = vi.fn<YieldSlot>()
    given.yieldSlot = yieldSlot
    for (let i = 0; i < 20; i += 1) call('any', { provision: i % 4 !== 3, exclude: i < 2 ? ids : [] })
    await clock.advance(100)
    yieldSlot.mockClear()
    await clock.advance(3_000)
    const accepted = yieldSlot.mock.calls.map(([accepts]) => accepts(ids[0] ?? ''))
    // Two callers exclude the engine, one accepts healthy engines, one accepts all.
    const rounds = accepted.filter(Boolean).length
    expect(rounds).toBeGreaterThan(0)
    expect(accepted.length).toBe(rounds * 4)
  })
})

describe('callers, lingering streams and a store that answers after 5 ms', () => {
  it('go together in 40 random schedules: each caller is served in order, and no engine is requested', async () => {
    const step = fc.record({ afterMs: fc.integer({ min: 0, max: 40 }), aborts: fc.boolean() })
    const schedule = fc.record({
      closeMs: fc.array(fc.constantFrom(0, 1, 7, 50, 400), { minLength: 6, maxLength: 6 }),
      steps: fc.array(step, { minLength: 1, maxLength: 6 }),
    })
    await fc.assert(
      fc.asyncProperty(schedule, async ({ closeMs, steps }) => {
        const time: { clock?: ManualClock } = {}
        const store = laterStore(() =>
          time.clock === undefined ? Promise.resolve() : new Promise((resolve) => time.clock?.setTimeout(() => resolve(undefined), 5)),
        )
        const { client, clock, requests } = await lingeringWorld(6, { closeMs, client: { store } })
        time.clock = clock
        const served: number[] = []
        const aborts = steps.map(() => new AbortController())
        for (const [index, { afterMs, aborts: isAborted }] of steps.entries()) {
          const signal = aborts[index]?.signal
          client.acquireEngine({ signal, waitMs: 20_000 }).then(
            () => served.push(index),
            () => {},
          )
          for (let passed = 0; passed < afterMs; passed += 1) await clock.advance(1)
          if (isAborted) aborts[index]?.abort('left')
        }
        for (let passed = 0; passed < 4_000; passed += 5) await clock.advance(5)
        const mustBeServed = steps.flatMap(({ aborts: isAborted }, index) => (isAborted ? [] : [index]))
        expect(served).toEqual([...served].sort((a, b) => a - b))
        expect(mustBeServed.filter((index) => !served.includes(index))).toEqual([])
        expect([client.metrics().leases.waiting, requests()]).toEqual([0, 0])
      }),
      { seed: 18, numRuns: 40 },
    )
  })
})
