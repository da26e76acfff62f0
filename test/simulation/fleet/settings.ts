import type { Clock } from '../../../src/index.ts'
import { type RedisClient, RedisStore } from '../../../src/state/redis/index.ts'

/** All times in milliseconds of the manual clock. They keep the proportions of the defaults, so that a run is short. */
export const SLOT_TTL_MS = 6_000
export const RENEW_MS = SLOT_TTL_MS / 3
export const TIMEOUT_MS = 1_000
/** The clock advances in steps of this length. */
export const STEP_MS = 200
/** Within this time after its link and the store work again, a member has reported all its slots and entries. */
export const REPORTED_MS = RENEW_MS + 2 * TIMEOUT_MS
/** After this time without a fault, earlier faults have no effect any more. */
export const CALM_MS = 3 * SLOT_TTL_MS

export const LIMIT = 2
export const ENGINES: readonly string[] = ['engine-a', 'engine-b', 'engine-c']

/** Creates the store of a member, on the manual clock. */
export function newStore(client: RedisClient, clock: Clock): RedisStore {
  return new RedisStore({ client, clock, name: 'fleet', timeoutMs: TIMEOUT_MS, slotTtlMs: SLOT_TTL_MS })
}
