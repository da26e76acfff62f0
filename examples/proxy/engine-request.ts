import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'

/** What the orchestrator is told of a stream whose engine let it down. */
export type EngineFailure = 'engine_failed' | 'engine_lost'

/** An engine did not do its part: it is worth trying another. */
export class EngineError extends Error {
  override readonly name = 'EngineError'
  readonly reason: EngineFailure

  constructor(message: string, { reason = 'engine_failed', cause }: { reason?: EngineFailure; cause?: unknown } = {}) {
    super(message, { cause })
    this.reason = reason
  }
}

/** The engine works and says that it cannot play this content. Another engine may, but it is the content that is probably dead. */
export class ContentRefusedError extends EngineError {}

/** How an engine is asked. */
export interface AskOptions {
  /** For the answer's head, and for whatever `run` does with its body. */
  timeoutMs: number
  /** Ends it all, and the call rejects with its reason. */
  signal?: AbortSignal | undefined
}

/**
 * Asks an engine, and gives the answer to `run`. The time-out covers both: engines hang before they answer as well as after their head.
 *
 * Each request has its own connection, so that one which hangs holds up nobody else.
 *
 * @throws {@link EngineError} where the engine refused, hung, broke off or answered a status other than 200
 */
export async function askEngine<T>(
  url: URL,
  { timeoutMs, signal }: AskOptions,
  run: (answer: http.IncomingMessage) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted()
  const tooLate = new EngineError(`${url.host} did not answer within ${timeoutMs} ms`)
  const request = (url.protocol === 'https:' ? https : http).get(url, { agent: false, headers: { accept: '*/*' } })
  // Once there is an answer, errors show there, and the request repeats some of them with nobody listening.
  request.on('error', () => {})
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    request.destroy(tooLate)
  }, timeoutMs)
  const leave = (): void => void request.destroy(new Error('no longer wanted'))
  signal?.addEventListener('abort', leave, { once: true })
  try {
    const [answer] = (await once(request, 'response')) as [http.IncomingMessage]
    if (answer.statusCode !== 200) throw new EngineError(`${url.host} answered ${answer.statusCode}`)
    return await run(answer)
  } catch (error) {
    request.destroy()
    signal?.throwIfAborted()
    if (isLate) throw tooLate
    if (error instanceof EngineError) throw error
    throw new EngineError(`${url.host}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', leave)
  }
}
