import { MemoryStore, type StateStore, StoreError } from 'acestream-orchestrator-client'
import { laterStore } from '../support/later-store.ts'

const METHODS = [
  ...(['take', 'promote', 'occupy', 'releaseLease', 'releaseStream', 'expire', 'usage', 'claimEnd', 'unclaimEnd'] as const),
  ...(['endedAmong', 'forgetEnded', 'append', 'settle', 'recover'] as const),
]
type Method = (...args: unknown[]) => unknown

/**
 * A store whose calls fail while it is away.
 *
 * @param turns turns of the event loop until it answers; 0: at once
 */
export class WatchedStore {
  /** For the clients. */
  readonly store: StateStore
  readonly inner: MemoryStore
  isAway = false

  /** @param onReleased called after each release, if the store answers at once */
  constructor(turns: number, onReleased: () => void) {
    const later = turns === 0 ? undefined : laterStore(turns)
    this.inner = later?.inner ?? new MemoryStore()
    const base = (later ?? this.inner) as unknown as Record<string, Method>
    const watched: Record<string, Method> = {}
    for (const name of METHODS) {
      watched[name] = (...args) => {
        if (this.isAway) throw new StoreError('The store is away', { reason: 'unavailable' })
        const answer = base[name]?.(...args)
        if (later === undefined && name.startsWith('release')) onReleased()
        return answer
      }
    }
    this.store = watched as unknown as StateStore
  }
}
