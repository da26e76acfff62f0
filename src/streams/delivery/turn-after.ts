import { waitUnlessAborted } from '../../runtime/abort.ts'
import type { TrackedStream } from '../tracked-stream.ts'
import type { Underway } from './outbox.ts'

/** Waits for the streams that leave the engine; once the start itself is stalled, no longer than its stream lives. */
export async function turnAfter(start: Underway, departed: Promise<unknown>, stream: TrackedStream): Promise<void> {
  await Promise.race([departed, start.heldUp.then(() => waitUnlessAborted(departed, stream.over))]).catch(() => {})
}
