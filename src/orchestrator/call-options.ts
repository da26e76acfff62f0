/** What every call to the orchestrator may be given. */
export interface CallOptions {
  signal?: AbortSignal | undefined
  /** Milliseconds this attempt may take; default the client's `requestTimeoutMs`. */
  timeoutMs?: number | undefined
}
