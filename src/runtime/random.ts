import type { Logger } from './logger.ts'
import { ignoreRejection } from './maybe-promise.ts'

/** A number in [0, 1), as `Math.random` gives it. Inject a seeded one to make a run repeatable. */
export type Random = () => number

/** The default source of randomness. */
export const systemRandom: Random = () => Math.random()

/** An id that no other process makes. From the platform's cryptographic source: it only names, it never decides. */
export function randomId(): string {
  return globalThis.crypto.randomUUID()
}

/** The largest number below 1. */
const BELOW_ONE = 1 - Number.EPSILON / 2

/** A source of the host's that cannot harm: numbers are clamped to [0, 1), and the default stands in where there is none. The first failure is logged. */
export function guardedRandom(random: Random, logger: Logger): Random {
  let hasWarned = false
  const warn = (error: unknown): void => {
    if (!hasWarned) logger.error('The source of randomness failed; the default stands in', { error })
    hasWarned = true
  }
  return () => {
    try {
      const answer: unknown = random()
      if (typeof answer === 'number' && !Number.isNaN(answer)) return Math.min(Math.max(answer, 0), BELOW_ONE)
      ignoreRejection(answer)
      warn(new TypeError(`expected a number, got ${typeof answer}`))
    } catch (error) {
      warn(error)
    }
    return systemRandom()
  }
}
