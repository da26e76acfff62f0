/** A value, or a promise of it: what a port may answer with. */
export type MaybePromise<T> = T | Promise<T>

/** Whether a port answers later. Not `instanceof`: promises of other realms and of other makers are promises too. */
export function isPromiseLike<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  const mayBe = (typeof value === 'object' && value !== null) || typeof value === 'function'
  try {
    return mayBe && 'then' in value && typeof value.then === 'function'
  } catch {
    return true // a promise of it rejects with this error
  }
}

/** A promise for an answer of a port. A `then` of the host's that throws makes it reject. */
export async function promiseOf<T>(answer: T | PromiseLike<T>): Promise<T> {
  return answer
}

/** Handles the rejection of an answer that no caller waits for. */
export function ignoreRejection(answer: unknown): void {
  if (isPromiseLike(answer)) promiseOf(answer).catch(() => {})
}
