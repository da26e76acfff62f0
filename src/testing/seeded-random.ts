import type { Random } from '../runtime/random.ts'

/**
 * Creates a repeatable source of random numbers from 0 to below 1 (mulberry32): the same seed gives the same numbers on every machine.
 *
 * @example
 * import { OrchestratorClient } from 'acestream-orchestrator-client'
 * import { FakeOrchestrator, seededRandom } from 'acestream-orchestrator-client/testing'
 *
 * const random = seededRandom(42)
 * const client = new OrchestratorClient({ baseUrl, random, transport: new FakeOrchestrator({ random }) })
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Returns a shuffled copy (Fisher-Yates). */
export function shuffled<T>(items: Iterable<T>, random: Random): T[] {
  const result = [...items]
  for (let index = result.length - 1; index > 0; index--) {
    const other = Math.floor(random() * (index + 1))
    const moved = result[index] as T
    result[index] = result[other] as T
    result[other] = moved
  }
  return result
}
