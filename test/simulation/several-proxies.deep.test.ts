import { describe, expect, it } from 'vitest'
import { excessOf, simulate } from '../../bench/several-proxies.ts'

/** How many streams more than the ideal the fullest engine may have. The ideal is about ten streams on each engine. */
const MOST = [
  [1, { mean: 0.25, p99: 1 }],
  [4, { mean: 2.5, p99: 5 }],
  [16, { mean: 3.5, p99: 8 }],
] as const

describe.each(MOST)('%i proxies on 20 engines, without a shared store', (clients, most) => {
  it('keep the fullest engine close to the ideal, closer than a random choice or the least loaded engine of a stale list', async () => {
    const ours = await excessOf({ strategy: 'this library', clients }, [1, 2])
    const stale = await excessOf({ strategy: 'least loaded on a stale list', clients }, [1, 2])
    const random = await excessOf({ strategy: 'random', clients }, [1, 2])
    expect(ours.mean).toBeLessThanOrEqual(most.mean)
    expect(ours.p99).toBeLessThanOrEqual(most.p99)
    expect(ours.mean).toBeLessThan(random.mean * 0.75)
    expect(ours.mean).toBeLessThan(stale.mean / 3)
    expect(ours.p99).toBeLessThanOrEqual(Math.min(stale.p99, random.p99))
  })
})

it('a simulation of several proxies with the same seed has the same result every time', async () => {
  const scenario = { strategy: 'this library', clients: 4, seed: 7 } as const
  expect(await simulate(scenario)).toEqual(await simulate(scenario))
})
