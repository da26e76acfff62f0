import { waitUnlessAborted } from '../runtime/abort.ts'
import type { Underway } from './pending-events.ts'
import type { TrackedStream } from './tracked-stream.ts'

/** Waits for the streams that leave the engine; once the start itself is stalled, no longer than its stream lives. */
export async function turnAfter(start: Underway, departed: Promise<unknown>, stream: TrackedStream): Promise<void> {
  await Promise.race([departed, start.heldUp.then(() => waitUnlessAborted(departed, stream.over))]).catch(() => {})
}
