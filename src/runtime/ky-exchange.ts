import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http'
import ky from 'ky'
import { MalformedResponseError } from '../errors.ts'
import { runWithDeadline } from './abort.ts'
import { readBody, readChunks } from './body.ts'
import type { Clock } from './clock.ts'
import { toConnectionError } from './connection-failure.ts'
import { findHeaderSecrets, makeRedactor } from './redaction.ts'
import type { TransportRequest, TransportResponse, TransportStream } from './transport.ts'

/** A browser shows neither status nor target of a redirect that it does not follow. Any 3xx has the same meaning to the client. */
const OPAQUE_REDIRECT_STATUS = 302

/** See `KyTransport.request`. */
export function request(clock: Clock, wanted: TransportRequest): Promise<TransportResponse> {
  const { method, url, timeoutMs, signal } = wanted
  const label = `${method} ${url.origin}${url.pathname}`
  return runWithDeadline({ clock, timeoutMs, signal, label }, async (deadline) => {
    try {
      const response = await send(wanted, deadline)
      return { status: readStatus(response), headers: response.headers, body: await readBody(response, deadline, label) }
    } catch (error) {
      if (error instanceof MalformedResponseError) throw error
      // Never the error itself: ky's errors contain the request, and an error of fetch may quote a header.
      throw toConnectionError(label, error, makeRedactor(...findSecrets(wanted)))
    }
  })
}

/** See `KyTransport.stream`. */
export function openStream(clock: Clock, wanted: TransportRequest): Promise<TransportStream> {
  const { method, url, timeoutMs, signal } = wanted
  const label = `${method} ${url.origin}${url.pathname}`
  return runWithDeadline({ clock, timeoutMs, signal, label }, async () => {
    try {
      const sendByNode = await loadNodeRequest(url.protocol)
      // The signal of the request, not of the deadline: the deadline limits the headers only, the signal ends the body too.
      if (sendByNode !== undefined) return await openInBackground(sendByNode, wanted)
      const response = await send(wanted, signal)
      return { status: readStatus(response), headers: response.headers, body: readChunks(response.body, signal) }
    } catch (error) {
      throw toConnectionError(label, error, makeRedactor(...findSecrets(wanted)))
    }
  })
}

function send({ method, url, headers, body }: TransportRequest, signal: AbortSignal | undefined): Promise<Response> {
  // In a browser the page has its own user agent. A header of ours would need the permission of other origins (CORS).
  const { 'user-agent': _, ...others } = headers
  return ky(url, {
    method,
    headers: 'document' in globalThis ? others : headers,
    ...(body === undefined ? {} : { body }),
    ...(signal === undefined ? {} : { signal }),
    redirect: 'manual',
    retry: 0,
    timeout: false,
    throwHttpErrors: false,
  })
}

function readStatus(response: Response): number {
  return response.type === 'opaqueredirect' ? OPAQUE_REDIRECT_STATUS : response.status
}

/** Headers whose values are not secrets. */
const PUBLIC_HEADERS: ReadonlySet<string> = new Set(['accept', 'content-type', 'user-agent'])

/** The secrets in the headers of a request: an API key of any length, and values for a reverse proxy. */
function findSecrets({ headers, url }: TransportRequest): string[] {
  const secret = Object.entries(headers).filter(([name]) => !PUBLIC_HEADERS.has(name.toLowerCase()))
  const key = secret.find(([name]) => name.toLowerCase() === 'authorization')?.[1]
  return [
    ...findHeaderSecrets(
      secret.map(([, value]) => value),
      `${url.origin}${url.pathname}`,
    ),
    key?.replace(/^Bearer /i, '') ?? '',
  ]
}

/** The function `request` of `node:http` or `node:https`. */
type NodeRequest = (url: string, options: RequestOptions) => ClientRequest

/**
 * Loads the function `request` of Node, Bun or Deno. `undefined` in a browser, where a bundler may replace the module with an empty one.
 */
export async function loadNodeRequest(protocol: string): Promise<NodeRequest | undefined> {
  try {
    const module = protocol === 'https:' ? await import('node:https') : await import('node:http')
    // From the default export: all tools that intercept requests replace it there, but not all replace the named export.
    return typeof module.default.request === 'function' ? module.default.request : undefined
  } catch {
    return undefined
  }
}

/**
 * Sends a request whose socket is unref'd, for which `fetch` has no option: an event stream must not keep the process alive. Does not
 * follow redirects. The body is read only as fast as its reader reads it.
 *
 * @throws the error of a connection that broke before the headers of the answer came
 */
async function openInBackground(send: NodeRequest, request: TransportRequest): Promise<TransportStream> {
  const response = await sendAndAwaitResponse(send, request)
  return { status: response.statusCode ?? 0, headers: toHeaders(response.rawHeaders), body: readNodeChunks(response, request.signal) }
}

function sendAndAwaitResponse(send: NodeRequest, { method, url, headers, body, signal }: TransportRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const request = send(url.href, { method, headers })
    const onAbort = (): void => void request.destroy()
    signal?.addEventListener('abort', onAbort, { once: true })
    request.on('socket', (socket) => {
      socket.unref()
      // If a host name has several addresses, each attempt to connect has its own handle.
      socket.once('connect', () => socket.unref())
    })
    request.on('response', (response) => {
      // The reader gets the error. Without this listener, an error between two reads would end the process.
      response.on('error', () => {})
      resolve(response)
    })
    request.on('error', reject)
    request.on('close', () => {
      signal?.removeEventListener('abort', onAbort)
      reject(new Error('the connection was closed before an answer came'))
    })
    request.end(body)
  })
}

/**
 * Reads a body chunk by chunk, until it ends or the signal aborts. Closes its socket when the reader stops.
 *
 * @throws the signal's reason if it aborts, or the error of a connection that broke
 */
async function* readNodeChunks(response: IncomingMessage, signal: TransportRequest['signal']): AsyncGenerator<Uint8Array> {
  try {
    signal?.throwIfAborted()
    for await (const chunk of response) {
      signal?.throwIfAborted()
      yield chunk
    }
    signal?.throwIfAborted()
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  } finally {
    response.destroy()
  }
}

/** Makes `Headers` of a flat list in which names and values alternate. */
function toHeaders(raw: readonly string[]): Headers {
  const headers = new Headers()
  for (let index = 0; index + 1 < raw.length; index += 2) headers.append(raw[index] ?? '', raw[index + 1] ?? '')
  return headers
}
