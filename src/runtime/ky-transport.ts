import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http'
import type { KyInstance } from 'ky'
import { MalformedResponseError } from '../errors.ts'
import { withDeadline } from './abort.ts'
import { chunks, readBody } from './body.ts'
import { type Clock, systemClock } from './clock.ts'
import { connectionError } from './connection-failure.ts'
import { redactorFor, secretsOf } from './redaction.ts'
import type { Transport, TransportRequest, TransportResponse, TransportStream } from './transport.ts'
import { expectOptions, type NamesOf } from './validate.ts'

/** In browsers a redirect that is not followed shows neither its status nor its target. Any 3xx says the same: not answered here. */
const OPAQUE_REDIRECT_STATUS = 302

/** What a {@link KyTransport} can be given. */
export interface KyTransportOptions {
  /** Measures the time-outs. @default the system's clock */
  clock?: Clock | undefined
}

/**
 * The default transport: the platform's `fetch`, by way of ky, and `node:http` for event streams. One attempt a call, redirects handed back
 * and never followed (they would carry the key elsewhere), bodies of at most 8 MiB, and a time-out that covers the body too.
 */
export class KyTransport implements Transport {
  readonly #clock: Clock
  #ky: Promise<KyInstance> | undefined

  constructor(options: KyTransportOptions = {}) {
    expectOptions(options, { clock: true } satisfies NamesOf<KyTransportOptions>)
    this.#clock = options.clock ?? systemClock
  }

  async request(request: TransportRequest): Promise<TransportResponse> {
    const { method, url, timeoutMs, signal } = request
    const label = `${method} ${url.origin}${url.pathname}`
    const exchange = async (ended: AbortSignal): Promise<TransportResponse> => {
      try {
        return await this.#exchange(request, ended, label)
      } catch (error) {
        if (error instanceof MalformedResponseError) throw error
        // Not raw: ky's errors hold the request, and fetch's may quote a header.
        throw connectionError(label, error, redactorFor(...credentials(request)))
      }
    }
    return withDeadline({ clock: this.#clock, timeoutMs, signal, label }, exchange)
  }

  /**
   * As the port says. The connection keeps no process alive: it is made by `node:http` or `node:https`. Where there is no such module (in
   * browsers) it is made by `fetch`.
   */
  async stream(request: TransportRequest): Promise<TransportStream> {
    const { method, url, timeoutMs, signal } = request
    const label = `${method} ${url.origin}${url.pathname}`
    const open = async (): Promise<TransportStream> => {
      try {
        const send = await nodeRequest(url.protocol)
        // The request's own signal, not the deadline's: it ends the body too, long after the headers came in time.
        if (send !== undefined) return await openInBackground(send, request)
        const response = await this.#fetch(request, signal)
        return { status: statusOf(response), headers: response.headers, body: chunks(response.body, signal) }
      } catch (error) {
        throw connectionError(label, error, redactorFor(...credentials(request)))
      }
    }
    return withDeadline({ clock: this.#clock, timeoutMs, signal, label }, open)
  }

  async #exchange(request: TransportRequest, signal: AbortSignal, label: string): Promise<TransportResponse> {
    const response = await this.#fetch(request, signal)
    return { status: statusOf(response), headers: response.headers, body: await readBody(response, signal, label) }
  }

  async #fetch({ method, url, headers, body }: TransportRequest, signal: AbortSignal | undefined): Promise<Response> {
    // Loaded with the first request: ky costs every host 30 ms at import, those without an orchestrator too.
    this.#ky ??= import('ky').then((module) => module.default)
    const ky = await this.#ky
    // In a browser it is the page's to say; saying more makes a request that other origins may have to allow.
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
}

function statusOf(response: Response): number {
  return response.type === 'opaqueredirect' ? OPAQUE_REDIRECT_STATUS : response.status
}

/** Headers whose values are no secrets. */
const PUBLIC_HEADERS: ReadonlySet<string> = new Set(['accept', 'content-type', 'user-agent'])

/** The secrets in headers: an API key of any length, and what a reverse proxy asks for. */
function credentials({ headers, url }: TransportRequest): string[] {
  const secret = Object.entries(headers).filter(([name]) => !PUBLIC_HEADERS.has(name.toLowerCase()))
  const key = secret.find(([name]) => name.toLowerCase() === 'authorization')?.[1]
  return [
    ...secretsOf(
      secret.map(([, value]) => value),
      `${url.origin}${url.pathname}`,
    ),
    key?.replace(/^Bearer /i, '') ?? '',
  ]
}

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
async function openInBackground(send: Send, request: TransportRequest): Promise<TransportStream> {
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
