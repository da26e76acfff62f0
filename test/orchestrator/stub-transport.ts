import { OrchestratorApi } from '../../src/orchestrator/api.ts'
import { type Dialect, DialectResolver } from '../../src/orchestrator/dialects.ts'
import { Requester, type RequesterOptions } from '../../src/orchestrator/requester.ts'
import type { Clock } from '../../src/runtime/clock.ts'
import { silentLogger } from '../../src/runtime/logger.ts'
import { SteadyClock } from '../../src/runtime/steady-clock.ts'
import type { Transport, TransportRequest, TransportResponse } from '../../src/runtime/transport.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'

type Answer = { status?: number; headers?: Record<string, string>; body?: unknown }
type Responder = (request: TransportRequest) => Answer | Promise<Answer>

/** Answers by a function and keeps what it was asked. A body that is not text is sent as JSON. */
export class StubTransport implements Transport {
  readonly requests: TransportRequest[] = []
  readonly #respond: Responder

  constructor(respond: Responder) {
    this.#respond = respond
  }

  async request(request: TransportRequest): Promise<TransportResponse> {
    this.requests.push(request)
    const { status = 200, headers = {}, body } = await this.#respond(request)
    return { status, headers: new Headers(headers), body: typeof body === 'string' ? body : JSON.stringify(body ?? null) }
  }

  /** `GET /streams?status=started`, in the order they came. */
  get asked(): string[] {
    return this.requests.map(({ method, url }) => `${method} ${url.pathname}${url.search}`)
  }

  sentBody(index = 0): unknown {
    return JSON.parse(this.requests[index]?.body ?? 'null')
  }
}

export interface Wire {
  api: OrchestratorApi
  requester: Requester
  dialects: DialectResolver
  clock: Clock
}

/** The whole wire on one transport, on virtual time. */
export function wire(
  transport: Transport,
  options: Partial<Omit<RequesterOptions, 'clock'>> & { clock?: Clock; dialect?: 'auto' | Dialect } = {},
): Wire {
  const { dialect = 'unversioned', clock = new ManualClock(), ...overrides } = options
  const requester = new Requester({
    baseUrl: new URL('http://orchestrator.test:8000'),
    transport,
    clock: SteadyClock.of(clock),
    requestTimeoutMs: 3_000,
    maxConcurrentRequests: 16,
    logger: silentLogger,
    ...overrides,
  })
  const dialects = new DialectResolver(requester, dialect)
  return { api: new OrchestratorApi(requester, dialects), requester, dialects, clock }
}

/** What a promise was rejected with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('expected a rejection')
}
