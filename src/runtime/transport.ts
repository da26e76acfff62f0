import type { PlatformAbortSignal, PlatformHeaders, PlatformUrl } from './platform.ts'

/** One HTTP request. */
export interface TransportRequest {
  method: 'GET' | 'POST' | 'DELETE'
  url: PlatformUrl
  headers: Record<string, string>
  /** JSON text. */
  body?: string | undefined
  /** Milliseconds that this attempt may take, with the body of the answer. */
  timeoutMs: number
  /** Aborts this attempt. */
  signal?: PlatformAbortSignal | undefined
}

/** The answer to a request, of any status. */
export interface TransportResponse {
  status: number
  headers: PlatformHeaders
  /** The whole body, as text. */
  body: string
}

/** An answer whose body continues: an event stream. */
export interface TransportStream {
  status: number
  headers: PlatformHeaders
  /** The body in chunks of any size, cut anywhere, until the server ends it. Reading rejects when the connection breaks. */
  body: AsyncIterable<string | Uint8Array>
}

/**
 * Sends HTTP requests. Test a transport of your own with `describeTransport` of `acestream-orchestrator-client/testing`.
 *
 * A transport makes one attempt. It does not retry, does not follow redirects, and does not reject because of a status.
 */
export interface Transport {
  /**
   * Sends a request and reads the whole answer.
   *
   * @throws the signal's reason if the signal aborts
   * @throws `RequestTimeoutError` if the answer is not complete after `timeoutMs`
   * @throws `ConnectionError` if no answer came. Any other error counts as a connection that broke after the request was sent
   */
  request(request: TransportRequest): Promise<TransportResponse>
  /**
   * Sends a request whose answer does not end, and resolves with its status and headers. `timeoutMs` is the limit for these. The signal
   * ends the connection at any time. The client always aborts it, even if it did not read the body. Throws like {@link request}.
   *
   * Optional. Without it the client requests every engine list: see the option `watch`.
   */
  stream?: ((request: TransportRequest) => Promise<TransportStream>) | undefined
}
