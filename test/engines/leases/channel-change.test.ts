import type { CapacityError } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { laterStore } from '../../support/later-store.ts'
import { during, failureOf, playback, setup } from '../../support/setup.ts'

/** One engine with one slot, which is leased. The orchestrator refuses to start another engine and advises not to wait. */
async function fullAndRefusing(clientOptions: Parameters<typeof setup>[1] = {}) {
  const world = setup({ engines: 1 }, clientOptions)
  const held = await during(world.clock, world.client.acquireEngine(), 10)
  world.fake.setProvisioning({ refuse: 'general_error' })
  return { ...world, held }
}

describe('a player that changes the channel while all engines are full and no other can be started', () => {
  it('gets the slot that it frees 50 ms after it asked for the next one', async () => {
    const { client, clock, held } = await fullAndRefusing()
    const next = client.acquireEngine({ waitMs: 30_000 })
    await clock.advance(50)
    await held.release()
    expect((await next).engine.containerId).toBe(held.engine.containerId)
  })

  it('gets the slot that it frees after 1.9 s, though the refusal is older than its call', async () => {
    const { client, clock, held } = await fullAndRefusing()
    await during(clock, failureOf(client.acquireEngine()))
    const next = client.acquireEngine({ waitMs: 30_000 })
    await clock.advance(1_900)
    await held.release()
    expect((await next).engine.containerId).toBe(held.engine.containerId)
  })

  it('is rejected 2 s after its own call', async () => {
    const { client, clock } = await fullAndRefusing({ cacheTtlMs: 600_000 })
    const rejectedAfter = async (): Promise<number> => {
      const before = clock.now()
      await failureOf(client.acquireEngine({ waitMs: 30_000 }))
      return clock.now() - before
    }
    const first = rejectedAfter()
    await clock.advance(700)
    const second = rejectedAfter()
    expect(await during(clock, Promise.all([first, second]))).toEqual([2_000, 2_000])
  })

  it('is rejected at once when there is no engine: no slot can become free', async () => {
    const { client, clock, fake } = setup({ engines: 0 })
    fake.setProvisioning({ refuse: 'general_error' })
    const before = clock.now()
    expect(await during(clock, failureOf(client.acquireEngine({ waitMs: 30_000 })))).toMatchObject({ reason: 'general_error' })
    expect(clock.now()).toBe(before)
  })

  it('is rejected at once with waitMs 0', async () => {
    const { client, clock } = await fullAndRefusing()
    await during(clock, failureOf(client.acquireEngine()))
    const before = clock.now()
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ code: 'CAPACITY' })
    expect(clock.now()).toBe(before)
  })
})

describe('an end that is being delivered', () => {
  it('keeps a caller in the wait queue until it is delivered, and the caller gets the slot that it frees', async () => {
    const { client, clock, fake, held } = await fullAndRefusing({ cacheTtlMs: 600_000 })
    const theirs = fake.startElsewhere({ containerId: held.engine.containerId })
    await held.release()
    await client.listEngines({ fresh: true })
    fake.inject({ kind: 'delay', route: 'POST /events/stream_ended', delayMs: 2_900, times: 1 })
    const next = client.acquireEngine({ waitMs: 30_000 })
    await clock.advance(500)
    const ending = client.streamEnded(theirs)
    await clock.advance(2_500)
    expect(client.metrics().leases.waiting).toBe(1)
    await during(clock, ending)
    expect((await during(clock, next)).engine.containerId).toBe(held.engine.containerId)
  })

  it('keeps no caller in the wait queue after it was delivered and freed no slot', async () => {
    const { client, clock, fake } = await fullAndRefusing({ cacheTtlMs: 600_000 })
    fake.inject({ kind: 'delay', route: 'POST /events/stream_ended', delayMs: 2_500, times: 1 })
    const ending = client.streamEnded('unknown-here')
    const before = clock.now()
    const error = (await during(clock, failureOf(client.acquireEngine({ waitMs: 30_000 })))) as CapacityError
    expect(error.reason).toBe('general_error')
    expect(clock.now() - before).toBe(2_500)
    await ending
  })

  it('keeps no caller in the wait queue while the orchestrator answers it with 503', async () => {
    const { client, clock, fake, held } = await fullAndRefusing()
    const stream = await held.startStream(playback())
    fake.inject({ kind: 'status', status: 503, route: 'POST /events/stream_ended', times: Number.POSITIVE_INFINITY })
    fake.startElsewhere({ containerId: held.engine.containerId })
    void stream.end()
    await client.listEngines({ fresh: true })
    const before = clock.now()
    expect(await during(clock, failureOf(client.acquireEngine({ waitMs: 30_000 })))).toMatchObject({ code: 'CAPACITY' })
    expect(clock.now() - before).toBe(2_000)
  })
})

describe('a lease that the store is releasing', () => {
  it('keeps a caller in the wait queue until it is released', async () => {
    const inner = laterStore(1)
    const release = Promise.withResolvers<void>()
    const store = { ...inner, releaseLease: (id: string) => release.promise.then(() => inner.releaseLease(id)) }
    const { client, clock, held } = await fullAndRefusing({ store })
    const next = client.acquireEngine({ waitMs: 30_000 })
    await clock.advance(100)
    const releasing = held.release()
    await clock.advance(6_000)
    expect(client.metrics().leases.waiting).toBe(1)
    release.resolve()
    await releasing
    expect((await during(clock, next)).engine.containerId).toBe(held.engine.containerId)
  })
})
