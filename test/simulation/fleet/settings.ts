import type { Clock } from '../../../src/index.ts'
import { type RedisClient, RedisStore } from '../../../src/state/redis/index.ts'

/** All times in milliseconds of the manual clock. They keep the proportions of the defaults, so that a run is short. */
export const SLOT_TTL_MS = 6_000
export const RENEW_MS = SLOT_TTL_MS / 3
export const TIMEOUT_MS = 1_000
/** Time moves on by so much at once. */
export const STEP_MS = 200
/** So soon after its link and the store are well again a member has reported, and the store has all that it holds. */
export const REPORTED_MS = RENEW_MS + 2 * TIMEOUT_MS
/** After so much time without a fault everything is as if there had been none. */
export const CALM_MS = 3 * SLOT_TTL_MS

export const LIMIT = 2
export const ENGINES: readonly string[] = ['engine-a', 'engine-b', 'engine-c']

/** The one place that knows how a store is made for virtual time. */
export function newStore(client: RedisClient, clock: Clock): RedisStore {
  return new RedisStore({ client, clock, name: 'fleet', timeoutMs: TIMEOUT_MS, slotTtlMs: SLOT_TTL_MS })
}
