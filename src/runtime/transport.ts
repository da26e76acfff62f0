import type { PlatformAbortSignal, PlatformHeaders, PlatformUrl } from './platform.ts'

/** One HTTP request, ready to be sent. */
export interface TransportRequest {
  method: 'GET' | 'POST' | 'DELETE'
  url: PlatformUrl
  headers: Record<string, string>
  body?: string | undefined
  /** Milliseconds this attempt may take, its body included. */
  timeoutMs: number
  signal?: PlatformAbortSignal | undefined
}

/** What came back, whatever its status. */
export interface TransportResponse {
  status: number
  headers: PlatformHeaders
  body: string
}

/** An answer whose body goes on: an event stream. */
export interface TransportStream {
  status: number
  headers: PlatformHeaders
  /** What came, in pieces of any size, cut anywhere, until the server ends it. Reading it fails when the connection breaks. */
  body: AsyncIterable<string | Uint8Array>
}

/**
 * How requests leave the process. A transport makes one attempt: it does not retry, does not follow redirects, and does not
 * reject for a status. It rejects with the signal's reason when aborted, with a `RequestTimeoutError` when out of time, and with
 * a `ConnectionError` when no answer came; anything else it throws is treated as a connection that broke half-way. `describeTransport` in
 * `acestream-orchestrator-client/testing` proves one.
 */
export interface Transport {
  request(request: TransportRequest): Promise<TransportResponse>
  /**
   * As {@link request}, for an answer that does not end by itself: resolves as soon as status and headers are there, for which
   * `timeoutMs` counts. The signal, aborted at any time, ends the connection; it is aborted in the end in every case, also where the
   * body was not read. Optional: without it, the client asks for every list (see the option `watch`).
   */
  stream?: ((request: TransportRequest) => Promise<TransportStream>) | undefined
}
