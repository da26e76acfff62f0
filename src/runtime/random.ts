import type { Logger } from './logger.ts'
import { ignoreRejection } from './maybe-promise.ts'

/** Returns a number in [0, 1), like `Math.random`. With a seeded function a run can be repeated. */
export type Random = () => number

/** The default source of random numbers. */
export const systemRandom: Random = () => Math.random()

/** Makes an id that no other process has, from the platform's cryptographic source. No decision depends on it. */
export function makeRandomId(): string {
  return globalThis.crypto.randomUUID()
}

/** The largest number below 1. */
const BELOW_ONE = 1 - Number.EPSILON / 2

/**
 * Wraps a random function of the host so that its failures have no effect: numbers are clamped to [0, 1), and `Math.random` replaces each
 * answer that is no number. The first failure is logged.
 */
export function guardRandom(random: Random, logger: Logger): Random {
  let hasWarned = false
  const warn = (error: unknown): void => {
    if (!hasWarned) logger.error('The option random failed. Math.random is used for each call that fails', { error })
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
