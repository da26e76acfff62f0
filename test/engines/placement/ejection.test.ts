import { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { EjectionPolicy } from '../../../src/engines/placement/ejection.ts'
import { setup } from '../../support/setup.ts'

const failThrice = (policy: EjectionPolicy, id: string) => [1, 2, 3].map(() => policy.recordFailure(id)).at(-1)?.ejectedMs

describe('an engine that fails', () => {
  it('is ejected for 30 s, doubling up to 5 min', async () => {
    const clock = new ManualClock()
    const policy = new EjectionPolicy(clock)
    const ejections: unknown[] = []
    for (let i = 0; i < 6; i += 1) {
      const ejectedMs = failThrice(policy, 'bad') ?? 0
      ejections.push(ejectedMs)
      await clock.advance(ejectedMs)
    }
    expect(ejections).toEqual([30_000, 60_000, 120_000, 240_000, 300_000, 300_000])
  })

  it('stays ejected for exactly 30,000 ms', async () => {
    const clock = new ManualClock()
    const policy = new EjectionPolicy(clock)
    failThrice(policy, 'bad')
    await clock.advance(29_999)
    expect(policy.ejectedAmong(['bad', 'good'])).toEqual(new Set(['bad']))
    await clock.advance(1)
    expect(policy.ejectedAmong(['bad', 'good'])).toEqual(new Set())
  })

  it('counts again as soon as the first of several ejections ends', async () => {
    const clock = new ManualClock()
    const policy = new EjectionPolicy(clock)
    failThrice(policy, 'first')
    await clock.advance(1_000)
    failThrice(policy, 'second')
    expect(policy.nextEndMs - clock.now()).toBe(29_000)
    await clock.advance(29_000)
    expect(policy.nextEndMs - clock.now()).toBe(1_000)
  })

  it('is not ejected when half of all engines already are: at most 0 of 1, 1 of 3 and 2 of 4 are', () => {
    const policy = new EjectionPolicy(new ManualClock())
    for (const id of ['a', 'b', 'c']) failThrice(policy, id)
    expect(policy.ejectedAmong(['a'])).toEqual(new Set())
    expect(policy.ejectedAmong(['a', 'b', 'c']).size).toBe(1)
    expect(policy.ejectedAmong(['a', 'b', 'c', 'd']).size).toBe(2)
  })

  it('stays ejected when only one of two may be, and the ejection of the other ends sooner', async () => {
    const clock = new ManualClock()
    const policy = new EjectionPolicy(clock)
    failThrice(policy, 'early')
    await clock.advance(20_000)
    failThrice(policy, 'late')
    expect(policy.ejectedAmong(['early', 'late'])).toEqual(new Set(['late']))
  })

  it('[I7] and leaves the list is forgotten: when its id is listed again, its failures count from zero', async () => {
    const { client, fake, clock } = setup({ engines: 2 }, { maxStreamsPerEngine: 5 })
    const [bad, good] = fake.engines.map((engine) => engine.containerId)
    const failOnBad = async () => (await client.acquireEngine({ exclude: [good ?? ''], waitMs: 0 })).fail()
    const ejected: unknown[] = []
    client.on('engine:ejected', (event) => ejected.push(event))
    await failOnBad()
    await failOnBad()
    fake.removeEngine(bad ?? '')
    await clock.advance(11_000)
    expect(await client.listEngines({ fresh: true })).toHaveLength(1)
    fake.addEngine({ containerId: bad ?? '' })
    await client.listEngines({ fresh: true })
    await failOnBad()
    await failOnBad()
    expect(ejected).toEqual([])
    await failOnBad()
    expect(ejected).toMatchObject([{ containerId: bad, failures: 3 }])
  })
})
