import type * as v from 'valibot'
import { ResponseError } from '../errors.ts'
import type { OrchestratorStatus } from '../model/health.ts'
import type { StartEvent, Stream, StreamFilter } from '../model/stream.ts'
import type { Sequence } from '../runtime/sequence.ts'
import type { EndAcknowledgement, ProvisionAcknowledgement, StartAcknowledgement } from './bodies.ts'
import {
  EndAnswerSchema,
  type EndEvent,
  endBody,
  ProvisionAnswerSchema,
  type ProvisionRequest,
  provisionBody,
  StartAnswerSchema,
  startBody,
} from './bodies.ts'
import type { Dialect, DialectResolver } from './dialects.ts'
import { ROUTES } from './dialects.ts'
import { breakerWaitMs, HealthSchema, ProvisioningBreakerSchema } from './health.ts'
import type { ListedEngines } from './listed-engines.ts'
import { eachOnce, engineListFrom } from './listed-engines.ts'
import { refusalFrom } from './refusals.ts'
import type { CallOptions, Requester, WireRequest } from './requester.ts'
import { EngineListSchema, StreamListSchema, type WireList } from './schemas.ts'
import { parseHttpDate } from './timestamps.ts'
import type { EntryReports, Unreadable } from './unreadable-entries.ts'

export type { CallOptions } from './requester.ts'

/** The streams that matched, and the entries of the list that were left out. */
export interface StreamList {
  readonly streams: readonly Stream[]
  readonly unreadable: Unreadable['streams']
}

/** Dependencies of {@link OrchestratorApi}. */
export interface OrchestratorApiParts {
  requester: Requester
  dialects: DialectResolver
  reports: EntryReports
  sequence: Sequence
  /**
   * Called with each start that the orchestrator acknowledged, before the caller gets the acknowledgement.
   *
   * @param requestedAt sequence number taken before the request was sent
   * @param startedAtNs when the orchestrator applied it: nanoseconds since the epoch by its own clock; `undefined` if it did not say
   */
  onStartAcknowledged: (requestedAt: number, startedAtNs: bigint | undefined) => void
}

/** One method per endpoint: domain types in and out, whichever generation answers. */
export class OrchestratorApi {
  readonly #requester: Requester
  readonly #dialects: DialectResolver
  readonly #reports: EntryReports
  readonly #sequence: Sequence
  readonly #onStartAcknowledged: OrchestratorApiParts['onStartAcknowledged']
  /** Whether lists come wrapped (v1's internal port): its engines do not name their streams either. */
  #wrapsLists = false

  constructor({ requester, dialects, reports, sequence, onStartAcknowledged }: OrchestratorApiParts) {
    this.#requester = requester
    this.#dialects = dialects
    this.#reports = reports
    this.#sequence = sequence
    this.#onStartAcknowledged = onStartAcknowledged
  }

  /** The dialect, if it is known by now. */
  get dialect(): Dialect | undefined {
    return this.#dialects.known
  }

  /** A read that finds out whether the orchestrator answers at all; what it answers is not looked at. */
  probe(options: CallOptions = {}): Promise<unknown> {
    const path = this.#dialects.pathFor(this.#dialects.known ?? 'v1', ROUTES.engines.path)
    return this.#requester.send({ ...ROUTES.engines, path, dialect: this.#dialects.known, isProbe: true, expectedStatus: 404, ...options })
  }

  /** The dialect; asks for it where it is not known. */
  resolveDialect(options?: CallOptions): Promise<Dialect> {
    return this.#dialects.resolve(options)
  }

  /**
   * All engines that can be connected to. On v1, whose engines name no streams, that is two requests sent together, and the ids come from
   * the second; if either fails, the call does.
   */
  async listEngines(options: CallOptions = {}): Promise<ListedEngines> {
    const isV1 = (await this.#dialects.resolve(options)) === 'v1'
    const [listed, streams] = await Promise.all([
      this.#list(ROUTES.engines, EngineListSchema, options),
      isV1 || this.#wrapsLists ? this.#list(ROUTES.streams, StreamListSchema, options) : undefined,
    ])
    this.#wrapsLists = listed.wrapped
    const areElsewhere = isV1 || listed.wrapped
    const together = areElsewhere ? (streams ?? (await this.#list(ROUTES.streams, StreamListSchema, options))) : undefined
    return engineListFrom(listed, together, this.#reports.report)
  }

  /** The streams that match. */
  async listStreams(filter: StreamFilter, options: CallOptions = {}): Promise<readonly Stream[]> {
    const { streams } = await this.streamList(filter, options)
    return streams
  }

  /** The streams that match; v1 answers with all of them whatever it is asked, so they are sorted out here too. */
  async streamList(filter: StreamFilter, options: CallOptions = {}): Promise<StreamList> {
    const { containerId, status } = filter
    const query = { ...(containerId === undefined ? {} : { container_id: containerId }), ...(status === undefined ? {} : { status }) }
    const { entries, unreadable } = await this.#list({ ...ROUTES.streams, query }, StreamListSchema, options)
    for (const entry of unreadable) this.#reports.report('stream', entry)
    const streams = eachOnce(entries, this.#reports.report).filter(
      (stream) => (containerId === undefined || stream.containerId === containerId) && (status === undefined || stream.status === status),
    )
    return { streams, unreadable }
  }

  /** Announces a stream. Repeating it is not harmless (hazard 5). */
  async startStream(event: StartEvent, options: CallOptions = {}): Promise<StartAcknowledgement> {
    const requestedAt = this.#sequence.next()
    const acknowledgement = await this.#call({ ...ROUTES.start, body: startBody(event) }, StartAnswerSchema, options)
    this.#onStartAcknowledged(requestedAt, acknowledgement.startedAtNs)
    return acknowledgement
  }

  /** Ends this stream or nothing: the request is fenced (hazard 1). */
  async endStream(event: EndEvent, options: CallOptions = {}): Promise<EndAcknowledgement> {
    return this.#call({ ...ROUTES.end, body: endBody(event) }, EndAnswerSchema, options)
  }

  /**
   * Asks for a new engine.
   *
   * @throws CapacityError when the orchestrator refuses, with its advice
   */
  async provision(request: ProvisionRequest, options: CallOptions = {}): Promise<ProvisionAcknowledgement> {
    return this.#call({ ...ROUTES.provision, body: provisionBody(request), refine: refusalFrom }, ProvisionAnswerSchema, options)
  }

  /** What the orchestrator says about itself. */
  async status(options: CallOptions = {}): Promise<OrchestratorStatus> {
    return this.#call(ROUTES.status, HealthSchema, options)
  }

  /** How long v1's breaker for requests to provision stays open; empty where it is not, and for other generations. */
  async circuitBreaker(options: CallOptions = {}): Promise<{ retryAfterMs?: number }> {
    if ((await this.#dialects.resolve(options)) !== 'v1') return {}
    try {
      const { output: breaker, headers } = await this.#exchange(ROUTES.circuitBreaker, ProvisioningBreakerSchema, options)
      // Both times are the orchestrator's: the clock here may be an hour ahead.
      const retryAfterMs = breakerWaitMs(breaker, parseHttpDate(headers.get('date')))
      return retryAfterMs === undefined ? {} : { retryAfterMs }
    } catch (error) {
      // 2026-04 looks like v1 while it has no engines, and has no such route.
      if (isNotFound(error)) return {}
      throw error
    }
  }

  async #list<Entry>(
    request: WireRequest,
    schema: v.GenericSchema<unknown, WireList<Entry>>,
    options: CallOptions,
  ): Promise<WireList<Entry>> {
    try {
      return await this.#call(request, schema, options)
    } catch (error) {
      if (isNotFound(error)) this.#dialects.doubt()
      throw error
    }
  }

  async #call<Output>(request: WireRequest, schema: v.GenericSchema<unknown, Output>, options: CallOptions): Promise<Output> {
    return (await this.#exchange(request, schema, options)).output
  }

  async #exchange<Output>(
    request: WireRequest,
    schema: v.GenericSchema<unknown, Output>,
    options: CallOptions,
  ): Promise<{ output: Output; headers: Headers }> {
    const dialect = await this.#dialects.resolve(options)
    const { signal, timeoutMs, failsFast } = options
    const path = this.#dialects.pathFor(dialect, request.path)
    const answer = await this.#requester.send({ ...request, dialect, path, signal, timeoutMs, failsFast })
    return { output: this.#requester.read(request, answer, schema), headers: answer.headers }
  }
}

function isNotFound(error: unknown): boolean {
  return error instanceof ResponseError && error.status === 404
}
