import type { CallerPlace } from '../../state/store.ts'
import type { AcquireRequest } from './acquire-request.ts'
import type { Waiter } from './wait-queue.ts'

/**
 * The place of a caller among the callers of all processes.
 *
 * @param waiting the waiting callers of this process, in order of arrival
 * @param own `now`: milliseconds by the client's clock; a caller that is in no queue yet calls now. `clientId`: see {@link CallerPlace}
 */
export function placeOf(request: AcquireRequest | Waiter, waiting: Iterable<Waiter>, own: { now: number; clientId: string }): CallerPlace {
  let nextSince: number | undefined
  for (const waiter of waiting) {
    if (waiter === request) continue
    nextSince = waiter.since
    break
  }
  return { since: 'since' in request ? request.since : own.now, isWaiting: request.waitMs > 0, nextSince, clientId: own.clientId }
}
