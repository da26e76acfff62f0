/** What every call to the orchestrator may be given. */
export interface CallOptions {
  signal?: AbortSignal | undefined
  /** Milliseconds this attempt may take; default the client's `requestTimeoutMs`. */
  timeoutMs?: number | undefined
  /** Does not wait while it is found out whether a failing orchestrator is well again, since the caller has something else to serve. */
  failsFast?: boolean | undefined
}
