import { describe, expect, it } from 'vitest'
import { excessOf, simulate } from '../../bench/several-proxies.ts'

/** Half a stream more than the ideal, on average, for a proxy that is alone; a herd of 16 may do somewhat worse. */
const MOST = new Map([
  [1, { mean: 0.5, p99: 1 }],
  [4, { mean: 2, p99: 4 }],
  [16, { mean: 3, p99: 6 }],
])

describe.each([...MOST])('%i proxies on 20 engines, without a shared store', (clients, most) => {
  it('keep the fullest engine close to the ideal, closer than the least loaded engine of a stale list would, or chance', async () => {
    const excess = await excessOf({ strategy: 'ours', clients }, [1])
    const stale = await excessOf({ strategy: 'least loaded on a stale list', clients }, [1])
    const random = await excessOf({ strategy: 'random', clients }, [1])
    console.log(clients, excess, stale, random)
    expect(excess.mean).toBeLessThanOrEqual(most.mean)
    expect(excess.p99).toBeLessThanOrEqual(most.p99)
    expect(excess.mean).toBeLessThan(stale.mean)
    expect(excess.mean).toBeLessThan(random.mean)
    expect(excess.p99).toBeLessThanOrEqual(Math.min(stale.p99, random.p99))
  })
})

it('a simulation of several proxies is the same every time', async () => {
  const scenario = { strategy: 'ours', clients: 4, seed: 7 } as const
  expect(await simulate(scenario)).toEqual(await simulate(scenario))
})
