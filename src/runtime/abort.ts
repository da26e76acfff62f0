import { RequestTimeoutError } from '../errors.ts'
import type { Clock, Timer } from './clock.ts'
import { turn } from './turn.ts'

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

/**
 * Lets `delayMs` milliseconds pass on the clock. The timer and the listener come off in every case.
 *
 * @throws the signal's reason when it aborts first
 */
export function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const timer = clock.setTimeout(() => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    }, delayMs)
    const onAbort = (): void => {
      timer.cancel()
      reject(signal.reason)
    }
    signal.addEventListener('abort', onAbort, { once: true })
  })
}

/** How long a piece of work may take, and who may call it off. */
export interface Deadline {
  clock: Clock
  timeoutMs: number
  signal?: AbortSignal | undefined
  /** What is being done, for the message of the time-out: a route, never with an id. */
  label: string
}

/**
 * Runs `work` until its deadline or the caller's abort, whichever comes first, and then leaves it at once: also work that never
 * settles, or that makes an error of its own out of being aborted. The signal given to `work` aborts in both cases.
 *
 * @throws {@link RequestTimeoutError} when out of time
 * @throws the reason of the caller's signal, exactly, when that aborted
 */
export async function withDeadline<T>(deadline: Deadline, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { clock, timeoutMs, signal, label } = deadline
  signal?.throwIfAborted()
  const controller = new AbortController()
  const leave = (): void => controller.abort(signal?.reason)
  signal?.addEventListener('abort', leave, { once: true })
  const timer = clock.setTimeout(() => {
    controller.abort(new RequestTimeoutError(`${label}: no complete answer within ${timeoutMs} ms`, { timeoutMs }))
  }, timeoutMs)
  try {
    // The async arrow turns a synchronous throw into a rejection.
    return await waitUnlessAborted((async () => work(controller.signal))(), controller.signal)
  } finally {
    timer.cancel()
    signal?.removeEventListener('abort', leave)
  }
}

const HOUR_MS = 3_600_000

/**
 * Keeps the process alive while a call of the host is pending: every other timer of a client is unref'd, and a request may be pausing
 * between two attempts. All pending calls share one timer. A call that settles within one turn of the event loop arms none.
 */
export class KeepAlive {
  readonly #clock: Clock
  #pendingCount = 0
  #isTurning = false
  #timer: Timer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Keeps the process alive until `call` settles. Returns the same promise, whose rejection stays the caller's to handle. */
  during<T>(call: Promise<T>): Promise<T> {
    this.#pendingCount += 1
    call.then(this.#over, this.#over)
    if (this.#timer === undefined && !this.#isTurning) {
      this.#isTurning = true
      // A turn keeps the process alive by itself.
      void turn().then(this.#turned)
    }
    return call
  }

  readonly #turned = (): void => {
    this.#isTurning = false
    if (this.#pendingCount > 0) this.#arm()
  }

  readonly #over = (): void => {
    this.#pendingCount -= 1
    if (this.#pendingCount > 0) return
    this.#timer?.cancel()
    this.#timer = undefined
  }

  readonly #arm = (): void => {
    this.#timer = this.#clock.setTimeout(this.#arm, HOUR_MS, { keepsAlive: true })
  }
}
