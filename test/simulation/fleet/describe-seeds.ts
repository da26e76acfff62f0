import { describe, expect, it } from 'vitest'
import { isRedisMissing } from '../../support/redis-server.ts'
import { isCompilerMissing } from '../../support/server-time.ts'
import type { Library } from './libraries.ts'
import { report } from './report.ts'
import { simulate } from './simulate.ts'

const seeds = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1)

/** Declares tests for the seeds that run before every merge. `npm run simulate:fleet` runs more. */
export function describeSeeds(library: Library): void {
  it('the simulation finds a redis-server, and a C compiler to build the clock that it gives to the server', () => {
    expect(isRedisMissing, 'install redis-server (Debian: apt-get install redis-server)').toBe(false)
    expect(isCompilerMissing, 'install a C compiler (Debian: apt-get install gcc libc6-dev)').toBe(false)
  })

  describe.skipIf(isRedisMissing || isCompilerMissing)(`a fleet on ${library}`, () => {
    it.each(seeds(20))('keeps all invariants through outages of the store and faults of members (seed %i)', async (seed) => {
      const outcome = await simulate({ seed, library })
      expect(outcome.failure, report(outcome, { library })).toBeUndefined()
    })

    it.each(seeds(5))('keeps all invariants on a cluster whose hash slots move (seed %i)', async (seed) => {
      const outcome = await simulate({ seed, library, isCluster: true })
      expect(outcome.failure, report(outcome, { library, isCluster: true })).toBeUndefined()
    })
  })
}
