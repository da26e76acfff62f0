import pLimit, { type LimitFunction } from 'p-limit'
import { AuthenticationError, InvalidArgumentError, MalformedResponseError, OrchestratorError, ResponseError } from '../errors.ts'
import { runWithDeadline, waitUnlessAborted } from '../runtime/abort.ts'
import { waitOneTurn } from '../runtime/clock.ts'
import { redactError, toConnectionError } from '../runtime/connection-failure.ts'
import type { Logger } from '../runtime/logger.ts'
import { findHeaderSecrets, makeRedactor, type Redact } from '../runtime/redaction.ts'
import type { SteadyClock } from '../runtime/steady-clock.ts'
import type { Transport, TransportRequest, TransportStream } from '../runtime/transport.ts'
import { VERSION } from '../version.ts'
import {
  type Answer,
  answerFrom,
  decode,
  decodePart,
  headersFrom,
  isRejectedByProxy,
  isSuccess,
  type JsonText,
  responseErrorFrom,
} from './answers.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'
import type { Decoder, SlicedDecoder } from './decoding.ts'
import type { KeyCheck } from './key-check.ts'
import { addLocation, locationOf, type RequestLocation } from './request-location.ts'
import { type Dialect, ROUTES, type Route } from './routes.ts'

/** Dependencies and options of {@link Requester}. */
export interface RequesterOptions {
  baseUrl: URL
  apiKey?: string | undefined
  /** Added to each request, under lower-case names. */
  headers?: Readonly<Record<string, string>>
  transport: Transport
  clock: SteadyClock
  /** Milliseconds that an attempt may take, unless its call says otherwise. */
  requestTimeoutMs: number
  /** Requests in flight at once; further requests wait for their turn. */
  maxConcurrentRequests: number
  logger: Logger
  /** `undefined`: every request is sent. */
  circuit?: CircuitBreaker | undefined
  /** Is called with each route that succeeded or was answered with 401 or 403. */
  keyCheck?: KeyCheck | undefined
  /** Called for each attempt that is sent. */
  onRequest?: (route: string) => void
  /** Called for each attempt that failed. A caller's abort is not a failure. */
  onFailure?: (route: string, error: unknown) => void
  /** Called before each attempt. Returns a function that is called when the attempt is over; `undefined`: it need not be called. */
  watchRequest?: () => ((request: FinishedRequest) => void) | undefined
}

/** An attempt that is over, as the event `request:finished` describes it. */
interface FinishedRequest {
  readonly route: string
  readonly method: string
  readonly url: string
  readonly status?: number
  readonly durationMs: number
  readonly attempt: number
  readonly error?: unknown
}

/** Options that every call to the orchestrator takes. */
export interface CallOptions {
  /** Ends the call; it rejects with the signal's reason. */
  signal?: AbortSignal | undefined
  /** Milliseconds this attempt may take. @default the client's `requestTimeoutMs` */
  timeoutMs?: number | undefined
  /** Rejects at once while the circuit breaker probes. For a caller that has an older answer. @default false */
  failsFast?: boolean | undefined
  /** Which attempt of the caller this is: the client repeats failed calls. @default 1 */
  attempt?: number | undefined
}

/** One request to the orchestrator. */
export interface WireRequest extends Route, CallOptions {
  /** The dialect of `path`. `undefined` while it is not known. */
  dialect?: Dialect | undefined
  query?: Record<string, string> | undefined
  /** Sent as JSON. */
  body?: unknown
  /** Converts the error of an answer outside 200-299. `body` is the whole body without secrets. */
  refine?: ((error: ResponseError, body: string) => OrchestratorError) | undefined
  /** An error status that is a normal answer to this request. The call still rejects, but it is neither counted nor logged as a failure. */
  expectedStatus?: number
  /** The probe of the circuit breaker, which is sent while the circuit is open. @default false */
  isProbe?: boolean
}

/**
 * Sends requests with the API key, each within its time limit, and at most `maxConcurrentRequests` at once. Each failure rejects with an
 * {@link OrchestratorError} without secrets, which says where the request went.
 */
export class Requester {
  readonly baseUrl: URL
  /** Removes the API key and the values of `headers` from a text for an error or a log. */
  readonly redact: Redact
  readonly logger: Logger
  readonly #options: RequesterOptions
  readonly #limit: LimitFunction
  readonly #pathPrefix: string
  /** The headers of a request without a body. */
  readonly #headers: Readonly<Record<string, string>>
  /** By path: there are few. Most requests go to the same URLs, which are parsed and redacted once. */
  readonly #targets = new Map<string, Target>()

  constructor(options: RequesterOptions) {
    this.#options = options
    this.#limit = pLimit(options.maxConcurrentRequests)
    this.logger = options.logger
    this.baseUrl = new URL(options.baseUrl)
    const shown = [`${this.baseUrl.origin}${this.baseUrl.pathname}`, ...Object.values(ROUTES).map(({ path }) => path)]
    this.redact = makeRedactor(options.apiKey, ...findHeaderSecrets(Object.values(options.headers ?? {}), ...shown))
    this.#pathPrefix = this.baseUrl.pathname.replace(/\/*$/, '/')
    const { apiKey, headers } = options
    this.#headers = {
      ...headers,
      accept: 'application/json',
      'user-agent': `acestream-orchestrator-client/${VERSION}`,
      ...(apiKey === undefined || apiKey === '' ? {} : { authorization: `Bearer ${apiKey}` }),
    }
  }

  /**
   * Sends a request and resolves with its answer, if that is a success (200-299). A caller whose signal aborts while the request waits for its
   * turn leaves at once, and nothing is sent.
   *
   * @throws an {@link OrchestratorError} for any other answer or if none came, a `CircuitOpenError` if nothing was sent, or the reason of the
   * caller's signal
   */
  async send(request: WireRequest): Promise<Answer> {
    const { signal, isProbe = false, failsFast = false } = request
    signal?.throwIfAborted()
    const target = this.#targetFor(request.path)
    const prepared = this.#prepare(request, target)
    const entry = isProbe ? undefined : this.#options.circuit?.enter(failsFast)
    if (entry !== undefined) await waitUnlessAborted(entry, signal)
    const hasTurn = this.#limit.activeCount + this.#limit.pendingCount < this.#limit.concurrency
    const attempt = this.#limit(() => this.#attempt(request, prepared, this.#locate(request, target)))
    // An attempt ends with its signal. Only a request that waits for its turn needs a listener of its own.
    return await (hasTurn ? attempt : waitUnlessAborted(attempt, signal))
  }

  /**
   * Reads the body of an answer as JSON of one shape.
   *
   * @throws {@link MalformedResponseError} for any other body, which counts as a failed request
   */
  read<Output>(route: string, answer: Answer, decoder: Decoder<Output>): Output {
    return this.#reportMalformed(route, () => decode(this.#textOf(answer), decoder))
  }

  /** {@link read} for a long body: `JSON.parse`, which takes some milliseconds, and each slice of the check have turns of the event loop of their own. */
  async readInTurns<Output>(route: string, answer: Answer, decoder: SlicedDecoder<Output>): Promise<Output> {
    const text = this.#textOf(answer)
    await waitOneTurn()
    const decoding = decoder(this.#reportMalformed(route, () => decode(text, (parsed) => parsed)))
    for (;;) {
      await waitOneTurn()
      const { done, value } = this.#reportMalformed(route, () => decodePart(text, () => decoding.next()))
      if (done) return value
    }
  }

  #textOf({ status, body, location }: Answer): JsonText {
    return { label: location.label, status, location, body, redact: this.redact }
  }

  #reportMalformed<Output>(route: string, read: () => Output): Output {
    try {
      return read()
    } catch (error) {
      if (error instanceof MalformedResponseError) this.#reportFailure(route, error)
      throw error
    }
  }

  /** Whether the transport can hold a connection open. */
  get canStream(): boolean {
    return typeof this.#options.transport.stream === 'function'
  }

  /**
   * Opens an event stream, which stays open until `signal` aborts. It does not count towards `maxConcurrentRequests`, because it would never end, and
   * it ignores the circuit breaker. Rejects as {@link send} does.
   */
  async open(request: WireRequest & { signal: AbortSignal }): Promise<TransportStream & { location: RequestLocation }> {
    const { transport, clock, keyCheck, onRequest, onFailure } = this.#options
    const { route, method, dialect, signal } = request
    const prepared = this.#prepare(request, this.#targetFor(request.path))
    const headers = { ...prepared.headers, accept: 'text/event-stream' }
    const location = locationOf(method, prepared.url, dialect, this.redact)
    onRequest?.(route)
    const finish = this.#watch(request, location)
    let status: unknown
    let isOfProxy = false
    try {
      const deadline = { clock, timeoutMs: prepared.timeoutMs, signal, label: location.label, option: limitOf(request) }
      const answer = await runWithDeadline(deadline, async () => transport.stream?.({ ...prepared, headers, signal }))
      status = answer?.status
      if (typeof status !== 'number') throw new TypeError('the transport returned no status')
      if (answer !== undefined && isSuccess(status)) {
        keyCheck?.succeeded(route, dialect)
        finish?.(status)
        return { ...answer, headers: headersFrom(answer.headers), location }
      }
      const refusal = { status, headers: headersFrom(answer?.headers), body: '', location }
      isOfProxy = isRejectedByProxy(refusal)
      throw responseErrorFrom(refusal, clock.wallNow(), this.redact)
    } catch (error) {
      if (signal.aborted && error === signal.reason) {
        finish?.(status, error)
        throw error
      }
      const failure = this.#failureFrom(error, location)
      if (failure instanceof AuthenticationError) keyCheck?.rejected(route, failure, isOfProxy)
      onFailure?.(route, failure)
      finish?.(status, failure)
      throw failure
    }
  }

  async #attempt(request: WireRequest, prepared: TransportRequest, location: RequestLocation): Promise<Answer> {
    const { route, dialect, signal, refine } = request
    const { transport, clock, keyCheck, onRequest } = this.#options
    const circuit = request.isProbe ? undefined : this.#options.circuit
    signal?.throwIfAborted()
    // Earlier requests may have opened the circuit while this one waited for its turn. Do not wait for the probe: it needs a turn too.
    if (circuit?.isClosed === false) throw circuit.error
    const epoch = circuit?.epoch ?? 0
    onRequest?.(route)
    const finish = this.#watch(request, location)
    let status: number | undefined
    let isOfProxy = false
    try {
      const deadline = { clock, timeoutMs: prepared.timeoutMs, signal, label: location.label, option: limitOf(request) }
      const returned: unknown = await runWithDeadline(deadline, (ended) => {
        prepared.signal = ended
        return transport.request(prepared)
      })
      const answer = answerFrom(returned, location)
      status = answer.status
      if (!isSuccess(answer.status)) {
        isOfProxy = isRejectedByProxy(answer)
        throw this.#responseError(answer, refine)
      }
      circuit?.record(epoch, undefined, route)
      keyCheck?.succeeded(route, dialect)
      finish?.(status)
      return answer
    } catch (error) {
      if (signal?.aborted && error === signal.reason) {
        finish?.(status, error)
        throw error
      }
      const failure = this.#failureFrom(error, location)
      circuit?.record(epoch, failure, route)
      const isExpected = failure instanceof ResponseError && failure.status === request.expectedStatus
      if (!isExpected) this.#reportFailure(route, failure, isOfProxy)
      finish?.(status, isExpected ? undefined : failure)
      throw failure
    }
  }

  /** Begins to measure an attempt, if somebody watches requests. Returns a function to call when it is over. */
  #watch({ route, method, attempt = 1 }: WireRequest, { url }: RequestLocation): ((status: unknown, error?: unknown) => void) | undefined {
    const { clock, watchRequest } = this.#options
    const report = watchRequest?.()
    if (report === undefined) return undefined
    const since = clock.now()
    return (status, error) => {
      const outcome = { ...(typeof status === 'number' ? { status } : {}), ...(error === undefined ? {} : { error }) }
      report({ route, method, url, durationMs: clock.now() - since, attempt, ...outcome })
    }
  }

  #responseError(answer: Answer, refine: WireRequest['refine']): OrchestratorError {
    const body = this.redact(answer.body)
    const error = responseErrorFrom({ ...answer, body }, this.#options.clock.wallNow(), this.redact)
    return refine?.(error, body) ?? error
  }

  #failureFrom(error: unknown, location: RequestLocation): OrchestratorError {
    const failure =
      error instanceof OrchestratorError ? redactError(error, this.redact) : toConnectionError(location.label, error, this.redact)
    return addLocation(failure, location)
  }

  #reportFailure(route: string, failure: OrchestratorError, isOfProxy = false): void {
    const { code, message, url, dialect } = failure
    this.logger.debug('request failed', { route, code, message, url, ...(dialect === undefined ? {} : { dialect }) })
    this.#options.onFailure?.(route, failure)
    if (failure instanceof AuthenticationError) this.#options.keyCheck?.rejected(route, failure, isOfProxy)
  }

  #prepare({ method, query, body, timeoutMs = this.#options.requestTimeoutMs }: WireRequest, { href }: Target): TransportRequest {
    // A transport of the host may change what it gets.
    const url = new URL(href)
    if (query !== undefined) url.search = new URLSearchParams(query).toString()
    const headers = { ...this.#headers }
    if (body === undefined) return { method, url, headers, timeoutMs }
    headers['content-type'] = 'application/json'
    return { method, url, headers, body: JSON.stringify(body), timeoutMs }
  }

  #targetFor(path: string): Target {
    const known = this.#targets.get(path)
    if (known !== undefined) return known
    // Only the path is set, which cannot change the origin: the API key goes to no other host.
    const url = new URL(this.baseUrl)
    url.username = ''
    url.password = ''
    url.pathname = this.#pathPrefix + path
    url.search = ''
    url.hash = ''
    // `URL` resolves `..`, encoded or not: the request would go to a different path.
    if (url.pathname !== this.#pathPrefix + path) throw new InvalidArgumentError('path', 'a percent-encoded path without dot segments')
    const target = { href: url.href, locations: [] }
    this.#targets.set(path, target)
    return target
  }

  /** Where a request goes, for errors and log lines. */
  #locate({ method, dialect }: WireRequest, { href, locations }: Target): RequestLocation {
    const known = locations.find((other) => other.method === method && other.location.dialect === dialect)
    if (known !== undefined) return known.location
    const location = locationOf(method, new URL(href), dialect, this.redact)
    locations.push({ method, location })
    return location
  }
}

/** The option that limits a request, unless its caller does. */
const limitOf = ({ timeoutMs }: WireRequest): string | undefined => (timeoutMs === undefined ? 'requestTimeoutMs' : undefined)

/** A URL to which requests go, and how errors show it. */
interface Target {
  /** Without a query. */
  readonly href: string
  /** One for each method and dialect that was used. */
  readonly locations: { readonly method: string; readonly location: RequestLocation }[]
}
