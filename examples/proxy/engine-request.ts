import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'

/** The reason in the end event of a stream whose engine failed. */
export type EngineFailure = 'engine_failed' | 'engine_lost'

/** An engine failed. Another engine may work. */
export class EngineError extends Error {
  override readonly name = 'EngineError'
  readonly reason: EngineFailure

  constructor(message: string, { reason = 'engine_failed', cause }: { reason?: EngineFailure; cause?: unknown } = {}) {
    super(message, { cause })
    this.reason = reason
  }
}

/** Options of {@link requestEngine}. */
export interface EngineRequestOptions {
  /** Time limit for the whole request: until the head of the response arrives and `run` has read what it needs. */
  timeoutMs: number
  /** Aborts the request, which rejects with the reason of the signal. */
  signal?: AbortSignal | undefined
}

/**
 * Sends a request to an engine, and passes the response to `run`. The time-out covers both, because engines hang before they respond and
 * also after the head of a response.
 *
 * Each request has its own connection, so that a request that hangs does not delay others.
 *
 * @throws {@link EngineError} if the connection is refused or breaks, the time is over, or the status is not 200
 */
export async function requestEngine<T>(
  url: URL,
  { timeoutMs, signal }: EngineRequestOptions,
  run: (answer: http.IncomingMessage) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted()
  const tooLate = new EngineError(`${url.host} did not respond within ${timeoutMs} ms`)
  const request = (url.protocol === 'https:' ? https : http).get(url, { agent: false, headers: { accept: '*/*' } })
  // After a response, errors reach the response. The request emits some of them again, and needs a listener.
  request.on('error', () => {})
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    request.destroy(tooLate)
  }, timeoutMs)
  const abort = (): void => void request.destroy(new Error('no longer wanted'))
  signal?.addEventListener('abort', abort, { once: true })
  try {
    const [answer] = (await once(request, 'response')) as [http.IncomingMessage]
    if (answer.statusCode !== 200) throw new EngineError(`${url.host} responded with status ${answer.statusCode}`)
    return await run(answer)
  } catch (error) {
    request.destroy()
    signal?.throwIfAborted()
    if (isLate) throw tooLate
    if (error instanceof EngineError) throw error
    throw new EngineError(`${url.host}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}
