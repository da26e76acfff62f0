import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { leftBehind, schedule } from './closing-at-any-moment.ts'

describe.each(GENERATIONS)('a client of %s that is closed at any moment, with any calls and any faults', (generation) => {
  it('leaves no timer, no request, no listener, no pending call and no unhandled rejection, in 2,000 runs', async () => {
    await fc.assert(
      fc.asyncProperty(schedule, async (plan) => {
        expect(await leftBehind(generation, plan)).toEqual([])
      }),
      { seed: 20_261_127, numRuns: 2_000 },
    )
  })
})
