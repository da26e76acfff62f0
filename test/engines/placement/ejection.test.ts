import { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { EjectionPolicy } from '../../../src/engines/placement/ejection.ts'
import { setup } from '../../support/setup.ts'

const failThrice = (book: EjectionPolicy, id: string) => [1, 2, 3].map(() => book.fail(id)).at(-1)?.ejectedMs

describe('an engine that fails', () => {
  it('is ejected for 30 s, doubling up to 5 min', async () => {
    const clock = new ManualClock()
    const book = new EjectionPolicy(clock)
    const ejections: unknown[] = []
    for (let i = 0; i < 6; i += 1) {
      const ejectedMs = failThrice(book, 'bad') ?? 0
      ejections.push(ejectedMs)
      await clock.advance(ejectedMs)
    }
    expect(ejections).toEqual([30_000, 60_000, 120_000, 240_000, 300_000, 300_000])
  })

  it('is out until its time is up, and not a millisecond longer', async () => {
    const clock = new ManualClock()
    const book = new EjectionPolicy(clock)
    failThrice(book, 'bad')
    await clock.advance(29_999)
    expect(book.ejectedAmong(['bad', 'good'])).toEqual(new Set(['bad']))
    await clock.advance(1)
    expect(book.ejectedAmong(['bad', 'good'])).toEqual(new Set())
  })

  it('stays in where it is the only one, and where half of the others are out: of three, one may be', () => {
    const book = new EjectionPolicy(new ManualClock())
    for (const id of ['a', 'b', 'c']) failThrice(book, id)
    expect(book.ejectedAmong(['a'])).toEqual(new Set())
    expect(book.ejectedAmong(['a', 'b', 'c']).size).toBe(1)
    expect(book.ejectedAmong(['a', 'b', 'c', 'd']).size).toBe(2)
  })

  it('is out rather than one whose time is nearly up', async () => {
    const clock = new ManualClock()
    const book = new EjectionPolicy(clock)
    failThrice(book, 'early')
    await clock.advance(20_000)
    failThrice(book, 'late')
    expect(book.ejectedAmong(['early', 'late'])).toEqual(new Set(['late']))
  })

  it('[I7] and is listed no more is forgotten: should its id come back, it starts from zero', async () => {
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
