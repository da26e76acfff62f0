import { RequestTimeoutError } from '../errors.ts'
import { waitUnlessAborted } from './abort.ts'
import type { Clock } from './clock.ts'

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
