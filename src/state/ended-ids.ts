/**
 * Knows which streams in a list are over. The orchestrator lists a stream until it has applied the end, and the client uses a list that was
 * requested before that for a while longer. Such a stream must not count as load.
 */
export interface EndedIds {
  /** Whether the stream is over although a list that was requested at this sequence number may show it. */
  isOver(streamId: string, requestedAt: number): boolean
  /** Records that the orchestrator has applied the end of another process's stream. In lists requested until now it is over. */
  markEnded(streamId: string): void
  /** Call it when no list requested before this sequence number is used any more. */
  forgetBefore(requestedAt: number): void
}
