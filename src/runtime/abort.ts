/**
 * Waits for `work`, but no longer than until `signal` aborts. The abort ends this wait only, never the work, which others may
 * share. The listener comes off again in every case: a host's signal may outlive thousands of calls.
 *
 * @throws the signal's reason, exactly, when it aborts first
 */
export function waitUnlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  // Through as many turns as with a signal: of two who wait for the same work, the first is the first to go on.
  if (signal === undefined) return new Promise<T>((resolve, reject) => void work.then(resolve, reject))
  if (signal.aborted) {
    work.catch(() => {}) // nobody is left to hear of it
    return Promise.reject(signal.reason)
  }
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    const stop = (): void => signal.removeEventListener('abort', onAbort)
    work.then(
      (value) => {
        stop()
        resolve(value)
      },
      (error: unknown) => {
        stop()
        reject(error)
      },
    )
  })
}
