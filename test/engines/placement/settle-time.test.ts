import { InvalidArgumentError, OrchestratorClient } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { setup } from '../../support/setup.ts'

describe('settleMs', () => {
  /** The ranking of a host that fills one engine after the other. Without settleMs it leases the same engine again and again. */
  const fillUp = { rankEngines: (a: { load: number }, b: { load: number }) => b.load - a.load, maxStreamsPerEngine: 3 }

  it('keeps an engine that was just leased from being leased again for 5,000 ms', async () => {
    const { client, clock } = setup({ engines: 2 }, { ...fillUp, settleMs: 5_000 })
    const first = await client.acquireEngine()
    await clock.advance(4_999)
    const second = await client.acquireEngine()
    expect(second.engine.containerId).not.toBe(first.engine.containerId)
    await second.release()
    await clock.advance(1)
    expect((await client.acquireEngine()).engine.containerId).toBe(first.engine.containerId)
  })

  it('is 0 by default: an engine can be leased twice at once', async () => {
    const { client } = setup({ engines: 2 }, fillUp)
    const ids = [await client.acquireEngine(), await client.acquireEngine()].map(({ engine }) => engine.containerId)
    expect(new Set(ids).size).toBe(1)
  })

  it('delays no caller and requests no engine: a settling engine is leased when all others are full', async () => {
    const { client, clock, fake } = setup({ engines: 2 }, { maxStreamsPerEngine: 3, settleMs: 60_000 })
    const before = clock.now()
    const leases = await Promise.all(Array.from({ length: 6 }, () => client.acquireEngine()))
    expect(leases).toHaveLength(6)
    expect(clock.now()).toBe(before)
    expect(fake.counters.requests.byRoute['POST /provision/acestream']).toBeUndefined()
  })

  it('does not prefer an unhealthy engine to a settling one', async () => {
    const { client, fake } = setup({ engines: 2 }, { maxStreamsPerEngine: 3, settleMs: 60_000 })
    const [sick = ''] = fake.engines.map(({ containerId }) => containerId)
    fake.updateEngine(sick, { healthStatus: 'unhealthy' })
    const leases = await Promise.all([1, 2, 3].map(() => client.acquireEngine({ provision: false, waitMs: 0 })))
    expect(leases.map(({ engine }) => engine.containerId)).not.toContain(sick)
    const last = await Promise.all([1, 2, 3].map(() => client.acquireEngine({ provision: false, waitMs: 0 })))
    expect(new Set(last.map(({ engine }) => engine.containerId))).toEqual(new Set([sick]))
  })

  it('must not be negative, and maxConcurrentProvisions must be at least 1', () => {
    const make = (options: object) => () => new OrchestratorClient({ baseUrl: 'http://orchestrator.test', ...options })
    expect(make({ settleMs: -1 })).toThrow(InvalidArgumentError)
    expect(make({ maxConcurrentProvisions: 0 })).toThrow(/maxConcurrentProvisions/)
  })
})
