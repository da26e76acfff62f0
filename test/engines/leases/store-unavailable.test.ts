import { CapacityError, StoreError } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { Fleet } from '../../support/fleet.ts'
import { laterStore } from '../../support/later-store.ts'
import { failureOf, setup } from '../../support/setup.ts'

const PROVISION = 'POST /provision/acestream'

describe('while the store does not answer', () => {
  it('callers wait, and are served in order of arrival when the store is back', async () => {
    const fleet = new Fleet({ engines: 2 })
    const { clock, state } = fleet
    const { client } = fleet.join()
    state.isAway = true
    const served: number[] = []
    const waiting = [0, 1].map((i) => client.acquireEngine({ waitMs: 10_000 }).then(() => served.push(i)))
    await clock.advance(4_000)
    expect([client.metrics().leases.waiting, served]).toEqual([2, []])
    state.isAway = false
    await clock.advance(2_000)
    await Promise.all(waiting)
    expect(served).toEqual([0, 1])
  })

  it('a caller is rejected after its waitMs with the reason store_unavailable and retryAfterMs 5,000', async () => {
    const fleet = new Fleet({ engines: 2 })
    const { client } = fleet.join()
    fleet.state.isAway = true
    const expected = { reason: 'store_unavailable', retryAfterMs: 5_000, shouldWait: true, canRetry: true }
    const atOnce = await failureOf(client.acquireEngine({ waitMs: 0 }))
    expect(atOnce).toBeInstanceOf(CapacityError)
    expect(atOnce).toMatchObject(expected)
    const later = failureOf(client.acquireEngine({ waitMs: 3_000 }))
    await fleet.clock.advance(3_000)
    expect(await later).toMatchObject({ ...expected, waitedMs: 3_000, position: 1 })
    expect((await later) as CapacityError).toHaveProperty('cause.reason', 'unavailable')
  })

  it('a caller is rejected with the reason full once the store is back and all engines are full', async () => {
    const fleet = new Fleet({ engines: 1 })
    const { client } = fleet.join()
    fleet.state.isAway = true
    await failureOf(client.acquireEngine({ waitMs: 0 }))
    fleet.state.isAway = false
    await client.acquireEngine()
    expect(await failureOf(client.acquireEngine({ waitMs: 0, provision: false }))).toMatchObject({ reason: 'full' })
  })

  it('no engine is requested', async () => {
    const fleet = new Fleet({ engines: 2 })
    const { client } = fleet.join()
    fleet.state.isAway = true
    const waiting = failureOf(client.acquireEngine({ waitMs: 20_000 }))
    await fleet.clock.advance(20_000)
    await waiting
    expect(fleet.fake.counters.requests.byRoute[PROVISION]).toBeUndefined()
  })

  it('a caller is rejected at once when the store is corrupt: waiting does not help', async () => {
    const store = laterStore()
    const { client } = setup({ engines: 1 }, { store })
    store.take = async () => {
      throw new StoreError('The file is damaged', { reason: 'corrupt' })
    }
    expect(await failureOf(client.acquireEngine())).toMatchObject({ code: 'STORE', reason: 'corrupt', retryable: false })
  })
})
