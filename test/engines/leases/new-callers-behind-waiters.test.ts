import type { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { laterStore } from '../../support/later-store.ts'
import { setup } from '../../support/setup.ts'

const wait = { provision: false, waitMs: 600_000 } as const
const TEN = Array.from({ length: 10 }, (_, index) => index)

/** Waits long enough for many answers of a store that answers after some turns of the event loop. */
async function settled(clock: ManualClock): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await clock.settle()
}

/** One engine with one leased slot, and ten waiters. `served` collects the names of callers that get an engine, in order. */
async function tenWaiters(turns: number) {
  const world = setup({ engines: 1, latencyMs: turns === 0 ? 10 : 0 }, turns === 0 ? {} : { store: laterStore(turns) })
  const acquiring = world.client.acquireEngine()
  await world.clock.advance(50)
  const held = await acquiring
  const served: (number | string)[] = []
  const call = (name: number | string): void =>
    void world.client.acquireEngine(wait).then(
      () => served.push(name),
      () => {},
    )
  for (const name of TEN) call(name)
  await settled(world.clock)
  return { ...world, held, served, call }
}

describe('a new caller behind ten waiters', () => {
  it.each([1, 2, 3])(
    'does not overtake them when it comes while a slot is being freed, in a store that answers after %i turns',
    async (turns) => {
      for (let delay = 0; delay < 12; delay += 1) {
        const { client, clock, held, served, call } = await tenWaiters(turns)
        void held.release()
        for (let turn = 0; turn < delay; turn += 1) await new Promise(setImmediate)
        call('newcomer')
        await settled(clock)
        expect([delay, served]).toEqual([delay, [0]])
        expect(client.metrics().leases.waiting).toBe(10)
      }
    },
  )

  it('does not overtake them when it comes as a list arrives that shows a free slot', async () => {
    const { client, clock, fake, served, call } = await tenWaiters(0)
    fake.addEngine()
    for (let passed = 0; passed < 5_000 && served.length === 0; passed += 5) {
      call(`newcomer after ${passed} ms`)
      await clock.advance(5)
    }
    expect(served).toEqual([0])
    await client.close({ timeoutMs: 0 })
  })

  it('does not overtake them when all wait for the first list after an outage, which shows two free slots', async () => {
    const options = { store: laterStore(1), dialect: 'unversioned', circuitBreaker: false, retry: { attempts: 1 } } as const
    const { client, clock, fake } = setup({ engines: 2 }, options)
    const fault = fake.inject({ kind: 'refused', times: Number.POSITIVE_INFINITY })
    const served: (number | string)[] = []
    const call = (name: number | string): void =>
      void client.acquireEngine(wait).then(
        () => served.push(name),
        () => {},
      )
    for (const name of TEN) call(name)
    await settled(clock)
    expect(client.metrics().leases.waiting).toBe(10)
    fault.remove()
    fake.latencyMs = 10
    call('newcomer')
    for (let passed = 0; passed < 5_000; passed += 500) {
      await clock.advance(500)
      await settled(clock)
    }
    expect(served).toEqual([0, 1])
  })
})

describe('a new caller behind a caller that still chooses an engine', () => {
  it('does not overtake it, also if it could have an engine at once', async () => {
    const { client } = setup({ engines: 1 })
    const served: string[] = []
    const call = (name: string): Promise<unknown> =>
      client.acquireEngine({ provision: false, waitMs: 0 }).then(
        () => served.push(name),
        () => {},
      )
    await client.listEngines()
    // With a listener of this event a caller is served later, after its call has returned.
    const listener = (): void => {}
    client.on('engine:acquired', listener)
    const first = call('first')
    client.off('engine:acquired', listener)
    const newcomer = call('newcomer')
    await Promise.all([first, newcomer])
    expect(served).toEqual(['first'])
  })
})
