import { waitUnlessAborted } from '../runtime/abort.ts'
import type { Underway } from './pending-events.ts'
import type { TrackedStream } from './tracked-stream.ts'

/** Waits for those that leave the engine; once any of them is held up, no longer than the stream lives. */
export async function turnAfter(ahead: readonly Underway[], departed: Promise<unknown>, stream: TrackedStream): Promise<void> {
  const heldUp = Promise.race(ahead.map((other) => other.heldUp))
  await Promise.race([departed, heldUp.then(() => waitUnlessAborted(departed, stream.over))]).catch(() => {})
}
