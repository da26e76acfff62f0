import type { CapacityError } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { laterStore } from '../../support/later-store.ts'
import { during, failureOf, playback, setup } from '../../support/setup.ts'

/** One engine with one slot, which is taken, of an orchestrator that refuses to start another and says not to wait. */
async function refusingHouse(clientOptions: Parameters<typeof setup>[1] = {}) {
  const world = setup({ engines: 1 }, clientOptions)
  const held = await during(world.clock, world.client.acquireEngine(), 10)
  world.fake.setProvisioning({ refuse: 'general_error' })
  return { ...world, held }
}

describe('a player that zaps, before a full house that refuses to grow', () => {
  it('gets the slot that it frees 50 ms after asking for the next', async () => {
    const { client, clock, held } = await refusingHouse()
    const next = client.acquireEngine({ waitMs: 30_000 })
    await clock.advance(50)
    await held.release()
    expect((await next).engine.containerId).toBe(held.engine.containerId)
  })

  it('gets the slot though the refusal is an older one', async () => {
    const { client, clock, held } = await refusingHouse()
    await during(clock, failureOf(client.acquireEngine()))
    const next = client.acquireEngine({ waitMs: 30_000 })
    await clock.advance(1_900)
    await held.release()
    expect((await next).engine.containerId).toBe(held.engine.containerId)
  })

  it('is rejected 2 s after it asked, each caller by its own time', async () => {
    const { client, clock } = await refusingHouse({ cacheTtlMs: 600_000 })
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

  it('is rejected at once where there is no engine: no slot can become free', async () => {
    const { client, clock, fake } = setup({ engines: 0 })
    fake.setProvisioning({ refuse: 'general_error' })
    const before = clock.now()
    expect(await during(clock, failureOf(client.acquireEngine({ waitMs: 30_000 })))).toMatchObject({ reason: 'general_error' })
    expect(clock.now()).toBe(before)
  })

  it('is rejected at once with waitMs 0', async () => {
    const { client, clock } = await refusingHouse()
    await during(clock, failureOf(client.acquireEngine()))
    const before = clock.now()
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ code: 'CAPACITY' })
    expect(clock.now()).toBe(before)
  })
})

describe('an end that is under way', () => {
  it('keeps a caller in the line until it is delivered, and the slot that it frees is the caller’s', async () => {
    const { client, clock, fake, held } = await refusingHouse({ cacheTtlMs: 600_000 })
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

  it('keeps nobody waiting once it is delivered and has freed nothing', async () => {
    const { client, clock, fake } = await refusingHouse({ cacheTtlMs: 600_000 })
    fake.inject({ kind: 'delay', route: 'POST /events/stream_ended', delayMs: 2_500, times: 1 })
    const ending = client.streamEnded('unknown-here')
    const before = clock.now()
    const error = (await during(clock, failureOf(client.acquireEngine({ waitMs: 30_000 })))) as CapacityError
    expect(error.reason).toBe('general_error')
    expect(clock.now() - before).toBe(2_500)
    await ending
  })

  it('keeps nobody waiting while a failing orchestrator holds it up', async () => {
    const { client, clock, fake, held } = await refusingHouse()
    const stream = await held.startStream(playback())
    fake.inject({ kind: 'status', status: 503, route: 'POST /events/stream_ended', times: Number.POSITIVE_INFINITY })
    const theirs = fake.startElsewhere({ containerId: held.engine.containerId })
    void stream.end()
    await client.listEngines({ fresh: true })
    const before = clock.now()
    await during(clock, failureOf(client.acquireEngine({ waitMs: 30_000 })))
    expect(clock.now() - before).toBe(2_000)
    expect(theirs).not.toBe('')
  })
})

describe('a lease that the store is releasing', () => {
  it('keeps a caller in the line until it is released', async () => {
    const inner = laterStore(1)
    const release = Promise.withResolvers<void>()
    const store = { ...inner, releaseLease: (id: string) => release.promise.then(() => inner.releaseLease(id)) }
    const { client, clock, held } = await refusingHouse({ store })
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
