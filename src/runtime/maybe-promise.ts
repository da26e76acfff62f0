/** A value, or a promise of it. A port may return either. */
export type MaybePromise<T> = T | Promise<T>

/** Whether a value is a promise: it has a method `then`. Recognises promises of other realms and libraries too. */
export function isPromiseLike<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  const mayHaveThen = (typeof value === 'object' && value !== null) || typeof value === 'function'
  try {
    return mayHaveThen && 'then' in value && typeof value.then === 'function'
  } catch {
    return true // A getter threw. promiseOf() turns this into a rejection.
  }
}

/** Turns the answer of a port into a promise. If the answer's `then` throws, the promise rejects. */
export async function toPromise<T>(answer: T | PromiseLike<T>): Promise<T> {
  return answer
}

/** Calls a port, and then `onAnswer` or `onFailure` with its answer. If the port answers at once, all that happens at once. */
export function whenAnswered<T, Result>(
  call: () => MaybePromise<T>,
  onAnswer: (answer: T) => Result,
  onFailure: (error: unknown) => Result,
): MaybePromise<Result> {
  let answer: MaybePromise<T>
  try {
    answer = call()
  } catch (error) {
    return onFailure(error)
  }
  return isPromiseLike(answer) ? toPromise(answer).then(onAnswer, onFailure) : onAnswer(answer)
}

/** Handles the rejection of an answer that no caller waits for. */
export function ignoreRejection(answer: unknown): void {
  if (isPromiseLike(answer)) toPromise(answer).catch(() => {})
}

/**
 * The answer of a port, if the port answers at once. `fallback` if it answers later or fails.
 *
 * @param onFailure receives the error, even if the answer fails later
 */
export function askNow<T>(ask: () => MaybePromise<T>, fallback: T, onFailure: (error: unknown) => void): T {
  try {
    const answer = ask()
    if (!isPromiseLike(answer)) return answer
    toPromise(answer).catch(onFailure)
  } catch (error) {
    onFailure(error)
  }
  return fallback
}
