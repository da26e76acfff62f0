import pLimit, { type LimitFunction } from 'p-limit'
import * as v from 'valibot'
import { AuthenticationError, InvalidArgumentError, MalformedResponseError, OrchestratorError, ResponseError } from '../errors.ts'
import { waitUnlessAborted, withDeadline } from '../runtime/abort.ts'
import { LARGEST_BODY_BYTES, tooLarge } from '../runtime/body.ts'
import { connectionError, scrub } from '../runtime/connection-failure.ts'
import type { Logger } from '../runtime/logger.ts'
import { type Redact, redactorFor, secretsOf } from '../runtime/redaction.ts'
import type { SteadyClock } from '../runtime/steady-clock.ts'
import type { Transport, TransportRequest, TransportStream } from '../runtime/transport.ts'
import { VERSION } from '../version.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'
import { decode } from './decode.ts'
import { type Dialect, ROUTES } from './dialects.ts'
import type { KeyCheck } from './key-check.ts'
import { parseRetryAfter } from './timestamps.ts'
import { elsewhereHint, htmlHint, locate, type Where, whereOf } from './where.ts'

/** What a {@link Requester} is built from. */
export interface RequesterOptions {
  baseUrl: URL
  apiKey?: string | undefined
  /** Added to each request, under lower-case names. */
  headers?: Readonly<Record<string, string>>
  transport: Transport
  clock: SteadyClock
  requestTimeoutMs: number
  maxConcurrentRequests: number
  logger: Logger
  /** Leaves a failing orchestrator alone; none: always ask. */
  circuit?: CircuitBreaker | undefined
  /** Learns from the answers whether the key is accepted. */
  keyCheck?: KeyCheck | undefined
  /** Called for each attempt that is sent. */
  onRequest?: (route: string) => void
  /** Called for each attempt that failed; a caller's abort is not a failure. */
  onFailure?: (route: string, error: unknown) => void
}

/** One request to the orchestrator. */
export interface WireRequest extends CallOptions {
  /** `GET /engines`: names the request in metrics and errors; never holds an id or the prefix. */
  route: string
  method: TransportRequest['method']
  /** How the path is written, where it is known: errors say it. */
  dialect?: Dialect | undefined
  /** Relative to the base URL, percent-encoded, without a leading slash. */
  path: string
  query?: Record<string, string>
  body?: unknown
  /** Makes another error of an answer that is not a success. The body is whole, and without the API key. */
  refine?: (error: ResponseError, body: string) => OrchestratorError
  /** An error status that is an answer, not a failure: it still rejects, and is neither counted nor logged. */
  expectedStatus?: number
  /** Finds out whether the orchestrator is well again: the circuit breaker's own, which does not stop it. */
  isProbe?: boolean
}

/** A successful answer. */
export interface WireResponse {
  status: number
  headers: Headers
  body: string
  /** Where it came from. */
  where: Where
}

const AnswerSchema = v.object({
  status: v.pipe(v.number(), v.integer(), v.minValue(100), v.maxValue(599)),
  headers: v.optional(v.unknown()),
  body: v.string(),
})
const IterableSchema = v.custom<Iterable<unknown>>((value) => typeof value === 'object' && value !== null && Symbol.iterator in value)
const HeaderPairsSchema = v.array(v.tuple([v.string(), v.string()]))
const QUOTED_LENGTH = 200

/** Sends requests, each with the key and within its time, no more at once than allowed, and tells every kind of failure apart. */
export class Requester {
  readonly baseUrl: URL
  /** Takes the API key and the values of `headers` out of a text that is about to reach an error or a log. */
  readonly redact: Redact
  /** Where the operator looks. */
  readonly logger: Logger
  readonly #options: RequesterOptions
  readonly #limit: LimitFunction
  readonly #pathPrefix: string

  constructor(options: RequesterOptions) {
    this.#options = options
    this.#limit = pLimit(options.maxConcurrentRequests)
    this.logger = options.logger
    this.baseUrl = new URL(options.baseUrl)
    const shown = [`${this.baseUrl.origin}${this.baseUrl.pathname}`, ...Object.values(ROUTES).map(({ path }) => path)]
    this.redact = redactorFor(options.apiKey, ...secretsOf(Object.values(options.headers ?? {}), ...shown))
    this.#pathPrefix = this.baseUrl.pathname.replace(/\/*$/, '/')
  }

  /**
   * Resolves with a success (200-299) and rejects with everything else: an {@link OrchestratorError}, or the caller's own `signal.reason`.
   * A caller whose signal aborts while it waits for its turn leaves at once, and nothing is sent. While the circuit is open nothing is
   * sent either.
   */
  async send(request: WireRequest): Promise<WireResponse> {
    request.signal?.throwIfAborted()
    const wire = this.#prepare(request)
    const entry = this.#enter(request)
    if (entry !== undefined) await waitUnlessAborted(entry, request.signal)
    return waitUnlessAborted(
      this.#limit(() => this.#attempt(request, wire)),
      request.signal,
    )
  }

  /**
   * An answer's body as JSON of one shape.
   *
   * @throws {@link MalformedResponseError} for any other, which counts as a request that failed
   */
  read<Output>({ route }: Pick<WireRequest, 'route'>, answer: WireResponse, schema: v.GenericSchema<unknown, Output>): Output {
    try {
      return decode({ ...answer, label: answer.where.label, redact: this.redact }, schema)
    } catch (error) {
      if (error instanceof MalformedResponseError) this.#report(route, error)
      throw error
    }
  }

  /** Whether the transport can hold a connection open. */
  get canStream(): boolean {
    return typeof this.#options.transport.stream === 'function'
  }

  /**
   * Opens an answer that goes on until `signal` aborts. One attempt, which takes no place among the requests in flight, since it would
   * keep it. Rejects as {@link send} does.
   */
  async open(request: WireRequest & { signal: AbortSignal }): Promise<TransportStream & { where: Where }> {
    const { transport, clock, onRequest, onFailure } = this.#options
    const { route, signal } = request
    const wire = this.#prepare(request)
    const headers = { ...wire.headers, accept: 'text/event-stream' }
    const where = this.#whereOf(request, wire)
    onRequest?.(route)
    try {
      const deadline = { clock, timeoutMs: wire.timeoutMs, signal, label: where.label }
      const answer = await withDeadline(deadline, async () => transport.stream?.({ ...wire, headers, signal }))
      const { status } = v.parse(v.object({ status: v.number() }), answer)
      if (answer !== undefined && status >= 200 && status <= 299) {
        this.#options.keyCheck?.succeeded(route, request.dialect)
        return { ...answer, headers: toHeaders(answer.headers), where }
      }
      throw this.#responseError(where, status, toHeaders(answer?.headers), '')
    } catch (error) {
      if (signal.aborted && error === signal.reason) throw error
      const failure = this.#failure(error, where)
      if (failure instanceof AuthenticationError) this.#options.keyCheck?.rejected(route, failure)
      onFailure?.(route, failure)
      throw failure
    }
  }

  /** One attempt. Whatever goes wrong in it comes out as one of our errors. */
  async #attempt(request: WireRequest, wire: TransportRequest): Promise<WireResponse> {
    const { route, signal } = request
    const { transport, clock, circuit, onRequest } = this.#options
    signal?.throwIfAborted()
    // Those before it in the line may have opened the circuit. Nobody waits here for the probe, which needs a turn as well.
    if (circuit?.isClosed === false && !request.isProbe) throw circuit.error
    const epoch = circuit?.epoch ?? 0
    const where = this.#whereOf(request, wire)
    onRequest?.(route)
    try {
      const deadline = { clock, timeoutMs: wire.timeoutMs, signal, label: where.label }
      const answer: unknown = await withDeadline(deadline, (ended) => transport.request({ ...wire, signal: ended }))
      const accepted = this.#accept(request, answer, where)
      if (!request.isProbe) circuit?.record(epoch, undefined, route)
      this.#options.keyCheck?.succeeded(route, request.dialect)
      return accepted
    } catch (error) {
      if (signal?.aborted && error === signal.reason) throw error
      const failure = this.#failure(error, where)
      if (!request.isProbe) circuit?.record(epoch, failure, route)
      if (failure instanceof ResponseError && failure.status === request.expectedStatus) throw failure
      this.#report(route, failure)
      throw failure
    }
  }

  /** One of our errors, without secrets, which says where its request went. */
  #failure(error: unknown, where: Where): OrchestratorError {
    const failure = error instanceof OrchestratorError ? scrub(error, this.redact) : connectionError(where.label, error, this.redact)
    return locate(failure, where)
  }

  #report(route: string, failure: OrchestratorError): void {
    const { code, message, url, dialect } = failure
    this.logger.debug('request failed', { route, code, message, url, ...(dialect === undefined ? {} : { dialect }) })
    this.#options.onFailure?.(route, failure)
    if (failure instanceof AuthenticationError) this.#options.keyCheck?.rejected(route, failure)
  }

  #whereOf({ method, dialect }: WireRequest, { url }: TransportRequest): Where {
    return whereOf(method, url, dialect, this.redact)
  }

  #enter({ isProbe = false, failsFast = false }: WireRequest): Promise<void> | undefined {
    return isProbe ? undefined : this.#options.circuit?.enter(failsFast)
  }

  #prepare({ method, path, query, body, timeoutMs }: WireRequest): TransportRequest {
    const { apiKey, requestTimeoutMs } = this.#options
    // Setting the path cannot change the origin, so the key goes nowhere else.
    const url = new URL(this.baseUrl)
    url.username = ''
    url.password = ''
    url.pathname = this.#pathPrefix + path
    url.search = new URLSearchParams(query).toString()
    url.hash = ''
    // A URL resolves `..` by itself, encoded or not, and would then ask for something else.
    if (url.pathname !== this.#pathPrefix + path) throw new InvalidArgumentError('path', 'a percent-encoded path without dot segments')
    return {
      method,
      url,
      headers: {
        ...this.#options.headers,
        accept: 'application/json',
        'user-agent': `acestream-orchestrator-client/${VERSION}`,
        ...(apiKey === undefined || apiKey === '' ? {} : { authorization: `Bearer ${apiKey}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      timeoutMs: timeoutMs ?? requestTimeoutMs,
    }
  }

  #accept({ refine }: WireRequest, answer: unknown, where: Where): WireResponse {
    const result = v.safeParse(AnswerSchema, answer)
    if (!result.success) throw new MalformedResponseError(`${where.label}: the transport gave no answer of status, headers and body`)
    const { status, body } = result.output
    const headers = toHeaders(result.output.headers)
    if (body.length > LARGEST_BODY_BYTES) throw tooLarge(where.label, status)
    if (status >= 200 && status <= 299) return { status, headers, body, where }
    const text = this.redact(body)
    const error = this.#responseError(where, status, headers, text)
    throw refine?.(error, text) ?? error
  }

  #responseError(where: Where, status: number, headers: Headers, body: string): ResponseError {
    const isAuthentication = status === 401 || status === 403
    const ErrorClass = isAuthentication ? AuthenticationError : ResponseError
    const hint = this.#hint(where, status, headers, body)
    const retryAfterMs = parseRetryAfter(headers, this.#options.clock.wallNow())
    return new ErrorClass(`${where.label}: answered ${status}${hint === '' ? '' : `: ${hint}`}`, { status, body, retryAfterMs })
  }

  /** What an answer that is no success says, or what it means. */
  #hint(where: Where, status: number, headers: Headers, body: string): string {
    if (status >= 300 && status <= 399) {
      return `redirects are not followed${this.redact(targetOf(headers, where.url))}; ${elsewhereHint(where.url)}`
    }
    // A reverse proxy says that the orchestrator is away with a page too.
    const html = status < 500 ? htmlHint(body, where) : undefined
    return html ?? body.slice(0, QUOTED_LENGTH).trim()
  }
}

function targetOf(headers: Headers, base: string): string {
  const target = URL.parse(headers.get('location') ?? '', base)
  return target === null || !headers.has('location') ? '' : `, here to ${target.origin}${target.pathname}`
}

/** The platform's own kind of headers, whatever a transport of the host's calls headers: another kind of them, pairs, an object. */
function toHeaders(headers: unknown): Headers {
  if (headers instanceof Headers) return headers
  try {
    const pairs = v.is(IterableSchema, headers) ? [...headers] : Object.entries(headers ?? {})
    return new Headers(v.parse(HeaderPairsSchema, pairs))
  } catch {
    return new Headers()
  }
}

/** What every call to the orchestrator may be given. */
export interface CallOptions {
  signal?: AbortSignal | undefined
  /** Milliseconds this attempt may take; default the client's `requestTimeoutMs`. */
  timeoutMs?: number | undefined
  /** Does not wait while it is found out whether a failing orchestrator is well again, since the caller has something else to serve. */
  failsFast?: boolean | undefined
}
