import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import { ContentError } from 'acestream-orchestrator-client'

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
  /** Hosts with their ports to which the engine may redirect. @default none */
  redirectHosts?: readonly string[]
}

const MAX_REDIRECTS = 5
const REDIRECTS: readonly (number | undefined)[] = [301, 302, 303, 307, 308]

/**
 * Sends a request to an engine, and passes the response, with its URL after redirects, to `run`. The time-out covers both, because engines hang before they respond and
 * also after the head of a response.
 *
 * Each request has its own connection, so that a request that hangs does not delay others.
 *
 * @throws {@link EngineError} if the connection is refused or breaks, the time is over, the status is not 200, or the engine redirects
 * somewhere else; {@link ContentError} if the engine sends a web page
 */
export async function requestEngine<T>(
  url: URL,
  { timeoutMs, signal, redirectHosts = [] }: EngineRequestOptions,
  run: (answer: http.IncomingMessage, url: URL) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted()
  const tooLate = new EngineError(`${url.host} did not respond within ${timeoutMs} ms`)
  let request: http.ClientRequest | undefined
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    request?.destroy(tooLate)
  }, timeoutMs)
  const abort = (): void => void request?.destroy(new Error('no longer wanted'))
  signal?.addEventListener('abort', abort, { once: true })
  try {
    let target = url
    for (let redirects = 0; ; redirects++) {
      request = send(target)
      const [answer] = (await once(request, 'response')) as [http.IncomingMessage]
      if (!REDIRECTS.includes(answer.statusCode)) return await run(checked(answer, target), target)
      request.destroy()
      target = redirectTarget(answer, target)
      if (!redirectHosts.includes(target.host)) throw new EngineError(`${url.host} redirected to another host, which is not followed`)
      if (redirects === MAX_REDIRECTS) throw new EngineError(`${url.host} redirected more than ${MAX_REDIRECTS} times`)
    }
  } catch (error) {
    request?.destroy()
    signal?.throwIfAborted()
    if (isLate) throw tooLate
    if (error instanceof EngineError || error instanceof ContentError) throw error
    throw new EngineError(`${url.host}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}

/** @throws an error if the URL is not one of HTTP: engines have named `ftp:` URLs */
function send(url: URL): http.ClientRequest {
  const request = (url.protocol === 'https:' ? https : http).get(url, { agent: false, headers: { accept: '*/*' } })
  // After a response, errors reach the response. The request emits some of them again, and needs a listener.
  return request.on('error', () => {})
}

/** Returns the response if its status is 200 and it is no web page. */
function checked(answer: http.IncomingMessage, { host }: URL): http.IncomingMessage {
  const { statusCode = 0, headers } = answer
  // A web page explains to people why the content cannot be played. With a status from 500 the engine itself is out of order.
  if (statusCode < 500 && /^\s*text\/html\b/i.test(headers['content-type'] ?? '')) {
    throw new ContentError(`${host} sent a web page instead of the content, with status ${statusCode}`)
  }
  if (statusCode !== 200) throw new EngineError(`${host} responded with status ${statusCode}`)
  return answer
}

function redirectTarget({ headers: { location } }: http.IncomingMessage, base: URL): URL {
  const target = location === undefined ? null : URL.parse(location, base.href)
  if (target === null) throw new EngineError(`${base.host} redirected to no URL`)
  return target
}
