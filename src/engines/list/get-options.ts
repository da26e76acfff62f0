/** Which list a caller needs, and how long it waits. Without options: a list that is fresh by the rules of {@link Freshness}. */
export interface GetListOptions {
  /** Ends this caller's wait only. A refresh that others share goes on. */
  signal?: AbortSignal | undefined
  /** Require a list that is requested after this call. Callers that come while a request is under way share the next one. */
  fresh?: boolean | undefined
  /** Require a list that was requested after this sequence number: only such a list shows all events acknowledged up to that number. */
  newerThan?: number | undefined
  /**
   * With `newerThan`: accept a pushed list too, if it shows all events acknowledged up to that number. While pushes arrive, wait for the next
   * one instead of requesting a list.
   */
  orPushed?: boolean | undefined
  /** How long this caller waits while requests fail, milliseconds. @default as long as requests are retried */
  patienceMs?: number | undefined
  /** Whether an old list is served as soon as a refresh takes longer than `refreshWaitMs`. @default true */
  allowStale?: boolean | undefined
}

/** The options that differ between callers that share one refresh. */
export type CallerOptions = Pick<GetListOptions, 'patienceMs' | 'allowStale'>
