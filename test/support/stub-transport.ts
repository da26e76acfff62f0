import type { Transport, TransportRequest, TransportResponse } from 'acestream-orchestrator-client'

type Answer = { status?: number; headers?: Record<string, string>; body?: unknown }

/** A transport that records each request and answers it with the result of a function. A body that is not text is sent as JSON. */
export class StubTransport implements Transport {
  readonly requests: TransportRequest[] = []
  readonly #respond: (request: TransportRequest) => Answer

  constructor(respond: (request: TransportRequest) => Answer) {
    this.#respond = respond
  }

  async request(request: TransportRequest): Promise<TransportResponse> {
    this.requests.push(request)
    const { status = 200, headers = {}, body } = this.#respond(request)
    return { status, headers: new Headers(headers), body: typeof body === 'string' ? body : JSON.stringify(body ?? null) }
  }
}
