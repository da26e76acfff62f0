/** A value, or a promise of it: what a port may answer with. */
export type MaybePromise<T> = T | Promise<T>

/** Whether a port answers later. Not `instanceof`: promises of other realms and of other makers are promises too. */
export function isPromiseLike<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  const mayBe = (typeof value === 'object' && value !== null) || typeof value === 'function'
  return mayBe && 'then' in value && typeof value.then === 'function'
}
