import type { Logger } from '../../runtime/logger.ts'
import type { EndedHere } from '../../state/ended-here.ts'
import type { StateStore } from '../../state/store.ts'

/** Calls `onFreed` for each slot that another process frees, if the store reports that. Answers how to unsubscribe. */
export function onSlotFreedByOthers(
  { store, endedHere, logger }: { store: StateStore; endedHere: EndedHere; logger: Logger },
  onFreed: () => void,
): (() => void) | undefined {
  try {
    return store.onSlotFreed?.((settledStreamId) => {
      // The other process ended this stream: the list from before still shows it.
      if (settledStreamId !== undefined) {
        endedHere.end(settledStreamId)
        endedHere.acknowledge(settledStreamId)
      }
      onFreed()
    })
  } catch (error) {
    logger.warn('The store does not report slots that other proxies free; callers notice them with the next list', { error })
    return () => {}
  }
}
