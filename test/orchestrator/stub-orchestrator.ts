import { HttpResponse, http } from 'msw'
import { OrchestratorCalls } from '../../src/orchestrator/calls.ts'
import { DialectResolver } from '../../src/orchestrator/dialects.ts'
import { Requester, type RequesterOptions } from '../../src/orchestrator/requester.ts'
import type { Dialect } from '../../src/orchestrator/routes.ts'
import { EntryReports } from '../../src/orchestrator/unreadable-entries.ts'
import type { Clock } from '../../src/runtime/clock.ts'
import { KyTransport } from '../../src/runtime/ky-transport.ts'
import { silentLogger } from '../../src/runtime/logger.ts'
import { Sequence } from '../../src/runtime/sequence.ts'
import { SteadyClock } from '../../src/runtime/steady-clock.ts'
import type { Transport } from '../../src/runtime/transport.ts'
import { held, mswServer, WireClock } from '../support/msw.ts'

/** A request as the server received it. */
interface ReceivedRequest {
  method: string
  url: URL
  /** Names in lower case, without the headers that `fetch` adds to every request. */
  headers: Record<string, string>
  /** `undefined` if the request had no body. */
  body: string | undefined
  /** Aborts when the client closes the connection. */
  signal: AbortSignal
}

type Answer = { status?: number; headers?: Record<string, string>; body?: unknown }
type Responder = (request: ReceivedRequest) => Answer | Promise<Answer>

const HEADERS_OF_FETCH: ReadonlySet<string> = new Set([
  'accept-encoding',
  'accept-language',
  'connection',
  'content-length',
  'host',
  'sec-fetch-mode',
])
const BODILESS_STATUSES: ReadonlySet<number> = new Set([204, 205, 304])

const server = mswServer()

/** Records each request and answers it with the result of a function. A body that is not text is sent as JSON. */
export class StubOrchestrator {
  readonly requests: ReceivedRequest[] = []
  readonly #respond: Responder

  constructor(respond: Responder) {
    this.#respond = respond
  }

  async answer(request: Request): Promise<Response> {
    const { method, signal } = request
    const headers = Object.fromEntries([...request.headers].filter(([name]) => !HEADERS_OF_FETCH.has(name)))
    const text = await request.text()
    const received = { method, url: new URL(request.url), headers, body: text === '' ? undefined : text, signal }
    this.requests.push(received)
    const { status = 200, headers: answered = {}, body } = await held((async () => this.#respond(received))())
    const answer = typeof body === 'string' ? body : JSON.stringify(body ?? null)
    return new HttpResponse(BODILESS_STATUSES.has(status) ? null : answer, { status, headers: answered })
  }

  /** All requests in the order of arrival, each like `GET /streams?status=started`. */
  get requestLines(): string[] {
    return this.requests.map(({ method, url }) => `${method} ${url.pathname}${url.search}`)
  }

  sentBody(index = 0): unknown {
    return JSON.parse(this.requests[index]?.body ?? 'null')
  }
}

export interface Wire {
  api: OrchestratorCalls
  requester: Requester
  dialects: DialectResolver
  clock: Clock
}

/**
 * Builds the API, the requester and the transport on virtual time. A `StubOrchestrator` is reached over the default transport and msw; any
 * other `target` is used as the transport. If two calls use the same origin, the stub of the last call answers.
 */
export function wire(
  target: StubOrchestrator | Transport,
  options: Partial<Omit<RequesterOptions, 'clock'>> & { clock?: Clock; dialect?: 'auto' | Dialect } = {},
): Wire {
  const { dialect = 'unversioned', clock = new WireClock(), ...overrides } = options
  const { baseUrl = new URL('http://orchestrator.test:8000') } = options
  if (target instanceof StubOrchestrator) server.use(http.all(`${baseUrl.origin}/*`, ({ request }) => target.answer(request)))
  const requester = new Requester({
    transport: target instanceof StubOrchestrator ? new KyTransport({ clock }) : target,
    requestTimeoutMs: 3_000,
    maxConcurrentRequests: 16,
    logger: silentLogger,
    ...overrides,
    baseUrl,
    clock: SteadyClock.of(clock),
  })
  const dialects = new DialectResolver(requester, dialect, new AbortController().signal)
  const reports = new EntryReports(requester)
  const api = new OrchestratorCalls({ requester, dialects, reports, sequence: new Sequence(), onStartAcknowledged: () => {} })
  return { api, requester, dialects, clock }
}

/** The error that a promise rejects with. Throws if the promise resolves. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('expected a rejection')
}
