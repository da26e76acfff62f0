import { RequestTimeoutError } from '../errors.ts'
import type { Clock, Timer } from './clock.ts'

/** The functions that are called when one signal aborts, behind one listener of the signal. */
class AbortCallbacks {
  readonly #signal: AbortSignal
  readonly #callbacks = new Set<() => void>()

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  get size(): number {
    return this.#callbacks.size
  }

  add(callback: () => void): void {
    if (this.#callbacks.size === 0) this.#signal.addEventListener('abort', this.#onAbort, { once: true })
    this.#callbacks.add(callback)
  }

  delete(callback: () => void): void {
    if (this.#callbacks.delete(callback) && this.#callbacks.size === 0) this.#signal.removeEventListener('abort', this.#onAbort)
  }

  readonly #onAbort = (): void => {
    for (const callback of this.#callbacks) callback()
    this.#callbacks.clear()
  }
}

const callbacksOf = new WeakMap<AbortSignal, AbortCallbacks>()

/**
 * Calls `callback` once, when `signal` aborts. Does not call it if the signal has aborted already. Call the returned function when the callback is not
 * needed any more: then the signal keeps no reference to it.
 *
 * Use this for a signal that many calls share, such as the client's own or a host's. The platform compares a new listener of a signal with all others,
 * so ten thousand calls with a listener each would block the event loop for seconds.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  let callbacks = callbacksOf.get(signal)
  if (callbacks === undefined) {
    callbacks = new AbortCallbacks(signal)
    callbacksOf.set(signal, callbacks)
  }
  callbacks.add(callback)
  return () => callbacks.delete(callback)
}

/** Number of callbacks that wait for a signal to abort. For tests: the platform sees one listener for all of them. */
export function callbackCount(signal: AbortSignal): number {
  return callbacksOf.get(signal)?.size ?? 0
}

/**
 * Waits for `work`, but not longer than until `signal` aborts. The abort ends this wait only: `work` continues, since other callers may
 * wait for it too. The listener is removed in every case: a host's signal may live through thousands of calls.
 *
 * @throws the signal's reason, unchanged, if it aborts first
 */
export function waitUnlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  // Make a new promise in this case too: callers with and without a signal then resume in the order in which they began to wait.
  if (signal === undefined) return new Promise<T>((resolve, reject) => void work.then(resolve, reject))
  if (signal.aborted) {
    work.catch(() => {}) // No caller handles its rejection any more.
    return Promise.reject(signal.reason)
  }
  return new Promise<T>((resolve, reject) => {
    const stop = onAbort(signal, () => reject(signal.reason))
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

/** Limits of a piece of work. */
export interface Deadline {
  clock: Clock
  /** Milliseconds that the work may take. */
  timeoutMs: number
  /** The caller's signal, which ends the work earlier. */
  signal?: AbortSignal | undefined
  /** Names the work in the error: a method and a URL or route, never an id. */
  label: string
  /** The option of the host that limits the work, for the error. */
  option?: string | undefined
}

/**
 * Runs `work` until its deadline or until the caller aborts, and then rejects at once, even if `work` ignores the abort. The signal that
 * `work` gets aborts in both cases.
 *
 * @throws {@link RequestTimeoutError} if the deadline is reached
 * @throws the reason of the caller's signal, unchanged, if that aborts first
 */
export function runWithDeadline<T>(deadline: Deadline, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { clock, timeoutMs, signal, label, option } = deadline
  // Every request runs through here: one promise, and one listener on the caller's signal.
  return new Promise<T>((resolve, reject) => {
    signal?.throwIfAborted()
    const controller = new AbortController()
    const end = (reason: unknown): void => {
      stop()
      controller.abort(reason)
      reject(reason)
    }
    const timer = clock.setTimeout(() => {
      const limit = `${timeoutMs} ms${option ? ` (${option})` : ''}`
      end(new RequestTimeoutError(`${label}: no complete answer within ${limit}`, { timeoutMs }))
    }, timeoutMs)
    const stopListening = signal && onAbort(signal, () => end(signal.reason))
    const stop = (): void => {
      timer.cancel()
      stopListening?.()
    }
    start(work, controller.signal).then(
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

/** Calls `work`. A synchronous throw becomes a rejection. A host's transport may also return no promise. */
function start<T>(work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return Promise.resolve(work(signal))
  } catch (error) {
    return Promise.reject(error)
  }
}

/**
 * Waits `delayMs` milliseconds on the clock. Removes its timer and its listener in every case.
 *
 * @param options `keepsAlive`: whether the process stays alive meanwhile. @default false
 * @throws the signal's reason, unchanged, if it aborts first
 */
export function pause(clock: Clock, delayMs: number, signal: AbortSignal, options?: Parameters<Clock['setTimeout']>[2]): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const timer = clock.setTimeout(
      () => {
        stopListening()
        resolve()
      },
      delayMs,
      options,
    )
    const stopListening = onAbort(signal, () => {
      timer.cancel()
      reject(signal.reason)
    })
  })
}

/** Resolves when `work` has settled, after `limitMs` milliseconds at the latest, and at once when `signal` aborts. Never rejects. */
export function settledWithin(clock: Clock, limitMs: number, work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    let timer: Timer | undefined
    let stopListening: (() => void) | undefined
    const settle = (): void => {
      timer?.cancel()
      stopListening?.()
      resolve()
    }
    work.then(settle, settle)
    if (signal.aborted) return settle()
    timer = clock.setTimeout(settle, limitMs)
    stopListening = onAbort(signal, settle)
  })
}
