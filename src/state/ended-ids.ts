/**
 * Tells which streams in a list are over. The orchestrator goes on listing a stream until it has applied the end, and a list that was
 * requested before that is used for a while longer: neither is a reason to count the stream as load.
 */
export interface EndedIds {
  /** Whether the stream is over although a list that was requested at this sequence number may show it. */
  isOver(streamId: string, requestedAt: number): boolean
  /** The orchestrator has applied the end of a stream of another process: lists requested until now show it in vain. */
  markEnded(streamId: string): void
  /** No list requested before this sequence number is used any more. */
  forgetBefore(requestedAt: number): void
}
