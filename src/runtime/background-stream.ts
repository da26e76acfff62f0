import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http'
import type { TransportRequest, TransportStream } from './transport.ts'

/** `request` of `node:http` or `node:https`. */
type Send = (url: string, options: RequestOptions) => ClientRequest

/** Loads the `request` of Node, Bun or Deno. `undefined` in a browser, where a bundler may put an empty module in its place. */
export async function nodeRequest(protocol: string): Promise<Send | undefined> {
  try {
    const module = protocol === 'https:' ? await import('node:https') : await import('node:http')
    // Of the default export: tools that intercept requests replace it there, and do not all replace the named one.
    return typeof module.default.request === 'function' ? module.default.request : undefined
  } catch {
    return undefined
  }
}

/**
 * Sends a request whose socket is unref'd: an event stream that nobody reads any more must not keep a process alive. `fetch` has no option
 * for that. Redirects are not followed. The body waits for its reader: what is not read stays with the server.
 *
 * @throws what the connection broke with, before its headers came
 */
export async function openInBackground(send: Send, request: TransportRequest): Promise<TransportStream> {
  const response = await answerTo(send, request)
  return { status: response.statusCode ?? 0, headers: headersOf(response.rawHeaders), body: piecesOf(response, request.signal) }
}

function answerTo(send: Send, { method, url, headers, body, signal }: TransportRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const request = send(url.href, { method, headers })
    const leave = (): void => void request.destroy()
    signal?.addEventListener('abort', leave, { once: true })
    request.on('socket', (socket) => {
      socket.unref()
      // Where a host name has several addresses, each attempt to connect has a handle of its own.
      socket.once('connect', () => socket.unref())
    })
    request.on('response', (response) => {
      // Its reader gets the error; without a listener it would end the process while nobody reads.
      response.on('error', () => {})
      resolve(response)
    })
    request.on('error', reject)
    request.on('close', () => {
      signal?.removeEventListener('abort', leave)
      reject(new Error('the connection was closed before an answer came'))
    })
    request.end(body)
  })
}

/**
 * A body piece by piece, until it ends or the signal aborts. Its socket is closed when its reader stops.
 *
 * @throws the signal's reason when it aborts, and what the connection broke with
 */
async function* piecesOf(response: IncomingMessage, signal: TransportRequest['signal']): AsyncGenerator<Uint8Array> {
  try {
    signal?.throwIfAborted()
    for await (const piece of response) {
      signal?.throwIfAborted()
      yield piece
    }
    signal?.throwIfAborted()
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  } finally {
    response.destroy()
  }
}

/** Headers from a flat list of names and values. */
function headersOf(raw: readonly string[]): Headers {
  const headers = new Headers()
  for (let index = 0; index + 1 < raw.length; index += 2) headers.append(raw[index] ?? '', raw[index + 1] ?? '')
  return headers
}
