/** How our live streams compared with the orchestrator's, and what was done about it. All are stream ids. */
export interface ReconcileReport {
  /** Live here, and listed on the engine we put them on. */
  readonly confirmed: readonly string[]
  /** Live here, not listed there, though their engine is: announced again. */
  readonly reannounced: readonly string[]
  /** Live here, and listed on another engine: followed. */
  readonly moved: readonly string[]
  /** Live here, and their engine is gone: over. */
  readonly lost: readonly string[]
  /** Ended here, and listed there all the same: ended again. */
  readonly endedAgain: readonly string[]
  /** Live here, and what the orchestrator shows proves nothing yet: it lists no engine at all, or the stream on an engine that it does not list. */
  readonly unsettled: readonly string[]
}
