import { InvalidArgumentError, OrchestratorClient } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { setup } from '../../support/setup.ts'

describe('settleMs', () => {
  /** The order of a host that fills one engine after the other: it would give the same one again and again. */
  const fillUp = { rankEngines: (a: { load: number }, b: { load: number }) => b.load - a.load, maxStreamsPerEngine: 3 }

  it('keeps an engine just given out from getting the next stream, until its time is up', async () => {
    const { client, clock } = setup({ engines: 2 }, { ...fillUp, settleMs: 5_000 })
    const first = await client.acquireEngine()
    await clock.advance(4_999)
    const second = await client.acquireEngine()
    expect(second.engine.containerId).not.toBe(first.engine.containerId)
    await second.release()
    await clock.advance(1)
    expect((await client.acquireEngine()).engine.containerId).toBe(first.engine.containerId)
  })

  it('is 0 unless set: then nothing is kept back', async () => {
    const { client } = setup({ engines: 2 }, fillUp)
    const ids = [await client.acquireEngine(), await client.acquireEngine()].map(({ engine }) => engine.containerId)
    expect(new Set(ids).size).toBe(1)
  })

  it('makes nobody wait and asks for no engine: where no other has room, one that is settling serves', async () => {
    const { client, clock, fake } = setup({ engines: 2 }, { maxStreamsPerEngine: 3, settleMs: 60_000 })
    const before = clock.now()
    const leases = await Promise.all(Array.from({ length: 6 }, () => client.acquireEngine()))
    expect(leases).toHaveLength(6)
    expect(clock.now()).toBe(before)
    expect(fake.counters.requests.byRoute['POST /provision/acestream']).toBeUndefined()
  })

  it('sends nobody to an unhealthy engine for it', async () => {
    const { client, fake } = setup({ engines: 2 }, { maxStreamsPerEngine: 3, settleMs: 60_000 })
    const [sick = ''] = fake.engines.map(({ containerId }) => containerId)
    fake.updateEngine(sick, { healthStatus: 'unhealthy' })
    const leases = await Promise.all([1, 2, 3].map(() => client.acquireEngine({ provision: false, waitMs: 0 })))
    expect(leases.map(({ engine }) => engine.containerId)).not.toContain(sick)
    const last = await Promise.all([1, 2, 3].map(() => client.acquireEngine({ provision: false, waitMs: 0 })))
    expect(new Set(last.map(({ engine }) => engine.containerId))).toEqual(new Set([sick]))
  })

  it('must be a duration, and maxConcurrentProvisions a count', () => {
    const make = (options: object) => () => new OrchestratorClient({ baseUrl: 'http://orchestrator.test', ...options })
    expect(make({ settleMs: -1 })).toThrow(InvalidArgumentError)
    expect(make({ maxConcurrentProvisions: 0 })).toThrow(/maxConcurrentProvisions/)
  })
})
