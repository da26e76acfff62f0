/** One HTTP request, ready to be sent. */
export interface TransportRequest {
  method: 'GET' | 'POST' | 'DELETE'
  url: URL
  headers: Record<string, string>
  body?: string
  /** Milliseconds this attempt may take, its body included. */
  timeoutMs: number
  signal?: AbortSignal
}

/** What came back, whatever its status. */
export interface TransportResponse {
  status: number
  headers: Headers
  body: string
}

/**
 * How requests leave the process. A transport makes one attempt: it does not retry, does not follow redirects, and does not
 * reject for a status. It rejects with the signal's reason when aborted, with a `RequestTimeoutError` when out of time, and with
 * a `ConnectionError` when no answer came; anything else it throws is treated as a connection that broke half-way.
 */
export interface Transport {
  request(request: TransportRequest): Promise<TransportResponse>
}
