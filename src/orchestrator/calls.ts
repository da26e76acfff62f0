import { ResponseError } from '../errors.ts'
import type { Generation } from '../model/diagnosis.ts'
import type { OrchestratorStatus } from '../model/health.ts'
import type { StartEvent, Stream, StreamFilter } from '../model/stream.ts'
import { waitOneTurn } from '../runtime/clock.ts'
import type { Sequence } from '../runtime/sequence.ts'
import type { Answer } from './answers.ts'
import type { EndAcknowledgement, ProvisionAcknowledgement, StartAcknowledgement } from './bodies.ts'
import {
  type EndEvent,
  endBody,
  type ProvisionRequest,
  provisionBody,
  readEndAnswer,
  readProvisionAnswer,
  readStartAnswer,
  startBody,
} from './bodies.ts'
import { type Decoder, finish, type SlicedDecoder } from './decoding.ts'
import type { DialectResolver } from './dialects.ts'
import { generationOfEngines, generationOfStatus } from './generation.ts'
import { breakerWaitMs, readHealth, readProvisioningBreaker } from './health.ts'
import type { ListedEngines } from './listed-engines.ts'
import { engineListFrom, streamsById } from './listed-engines.ts'
import { refusalFrom } from './refusals.ts'
import type { CallOptions, Requester, WireRequest } from './requester.ts'
import type { Dialect, Route } from './routes.ts'
import { ROUTES } from './routes.ts'
import { parseHttpDate } from './timestamps.ts'
import type { EntryReports, Unreadable } from './unreadable-entries.ts'
import { engineListInSlices, streamListInSlices, type WireList } from './wire-lists.ts'

export type { CallOptions } from './requester.ts'

/** The streams that match a filter, and the entries of the list that were left out. */
export interface StreamList {
  /** In the order of the list. */
  readonly byId: ReadonlyMap<string, Stream>
  readonly unreadable: Unreadable['streams']
}

/** Dependencies of {@link OrchestratorCalls}. */
export interface OrchestratorCallsParts {
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

/**
 * Calls the endpoints of the orchestrator, one method each. Takes and returns the types of `src/model`, for every generation. Each method rejects as
 * `Requester.send` does.
 */
export class OrchestratorCalls {
  readonly #requester: Requester
  readonly #dialects: DialectResolver
  readonly #reports: EntryReports
  readonly #sequence: Sequence
  readonly #onStartAcknowledged: OrchestratorCallsParts['onStartAcknowledged']
  /** Whether the last engine list was wrapped in an object, as on v1's internal port: its engines do not name their streams. */
  #wrapsLists = false
  #generation: Generation | undefined

  constructor({ requester, dialects, reports, sequence, onStartAcknowledged }: OrchestratorCallsParts) {
    this.#requester = requester
    this.#dialects = dialects
    this.#reports = reports
    this.#sequence = sequence
    this.#onStartAcknowledged = onStartAcknowledged
  }

  /** The dialect; `undefined` while it is not known. */
  get dialect(): Dialect | undefined {
    return this.#dialects.known
  }

  /** The generation of the orchestrator, judged by its last answer that shows it; `undefined` if none did. */
  get generation(): Generation | undefined {
    return this.#generation
  }

  /** Whether the last engine list came from v1's internal port. */
  get isInternalPort(): boolean {
    return this.#wrapsLists
  }

  /** The probe of the circuit breaker: a read whose answer is not used. */
  probe(options: CallOptions = {}): Promise<unknown> {
    const path = this.#dialects.pathFor(this.#dialects.known ?? 'v1', ROUTES.engines.path)
    return this.#requester.send({ ...ROUTES.engines, path, dialect: this.#dialects.known, isProbe: true, expectedStatus: 404, ...options })
  }

  /** Returns the dialect. Requests it from the orchestrator if it is not known. */
  resolveDialect(options?: CallOptions): Promise<Dialect> {
    return this.#dialects.resolve(options)
  }

  /**
   * Reads all engines to which a connection is possible. The engines of v1 do not name their streams, so the stream list is read at the same time;
   * if either read fails, the call fails.
   */
  async listEngines(options: CallOptions = {}): Promise<ListedEngines> {
    const isV1 = (await this.#dialects.resolve(options)) === 'v1'
    let shown: Generation | undefined
    const read: typeof engineListInSlices = (answer) => {
      shown = generationOfEngines(answer)
      return engineListInSlices(answer)
    }
    const [listed, streams] = await Promise.all([
      this.#list(ROUTES.engines, read, options),
      isV1 || this.#wrapsLists ? this.#list(ROUTES.streams, streamListInSlices, options) : undefined,
    ])
    this.#wrapsLists = listed.wrapped
    // An empty list shows no generation, but only 2025-10 has neither the routes of v1 nor wrapped lists.
    const { known, lacksV1 } = this.#dialects
    this.#generation = shown ?? (known === 'unversioned' && lacksV1 ? '2025-10' : this.#generation)
    const needsStreams = isV1 || listed.wrapped
    const streamsToAdd = needsStreams ? (streams ?? (await this.#list(ROUTES.streams, streamListInSlices, options))) : undefined
    if (isLong(streamsToAdd)) await waitOneTurn()
    return engineListFrom(listed, streamsToAdd, this.#reports.report)
  }

  /** Reads the streams that match. */
  async listStreams(filter: StreamFilter, options: CallOptions = {}): Promise<readonly Stream[]> {
    const { byId } = await this.streamList(filter, options)
    return [...byId.values()]
  }

  /** Reads the streams that match, and the entries that were left out. v1 ignores the query and returns all streams, so filter the answer. */
  async streamList(filter: StreamFilter, options: CallOptions = {}): Promise<StreamList> {
    const { containerId, status } = filter
    const query = { ...(containerId === undefined ? {} : { container_id: containerId }), ...(status === undefined ? {} : { status }) }
    const list = await this.#list(ROUTES.streams, streamListInSlices, options, { query })
    if (isLong(list)) await waitOneTurn()
    const { entries, unreadable } = list
    for (const entry of unreadable) this.#reports.report('stream', entry)
    const byId = streamsById(entries, this.#reports.report)
    for (const stream of byId.values()) {
      const isWanted =
        (containerId === undefined || stream.containerId === containerId) && (status === undefined || stream.status === status)
      if (!isWanted) byId.delete(stream.id)
    }
    return { byId, unreadable }
  }

  /** Sends the start of a stream. Do not send a start twice: a repeated start does harm (H5). */
  async startStream(event: StartEvent, options: CallOptions = {}): Promise<StartAcknowledgement> {
    const requestedAt = this.#sequence.next()
    const acknowledgement = await this.#call(ROUTES.start, readStartAnswer, options, { body: startBody(event) })
    this.#onStartAcknowledged(requestedAt, acknowledgement.startedAtNs)
    return acknowledgement
  }

  /** Sends the end of a stream. The request is fenced: it ends this stream, or none (H1). */
  endStream(event: EndEvent, options: CallOptions = {}): Promise<EndAcknowledgement> {
    return this.#call(ROUTES.end, readEndAnswer, options, { body: endBody(event) })
  }

  /**
   * Requests a new engine.
   *
   * @throws {@link CapacityError} with the orchestrator's advice, if it refuses
   */
  provision(request: ProvisionRequest, options: CallOptions = {}): Promise<ProvisionAcknowledgement> {
    return this.#call(ROUTES.provision, readProvisionAnswer, options, { body: provisionBody(request), refine: refusalFrom })
  }

  /** Reads the orchestrator's own status. */
  status(options: CallOptions = {}): Promise<OrchestratorStatus> {
    const read = (value: unknown): OrchestratorStatus => {
      this.#generation = generationOfStatus(value) ?? this.#generation
      return readHealth(value)
    }
    return this.#call(ROUTES.status, read, options)
  }

  /** Reads how long v1's own circuit breaker for provisioning stays open. Empty if it is not open, and for other generations. */
  async circuitBreaker(options: CallOptions = {}): Promise<{ retryAfterMs?: number }> {
    if ((await this.#dialects.resolve(options)) !== 'v1') return {}
    try {
      const answer = await this.#send(ROUTES.circuitBreaker, options)
      const breaker = this.#requester.read(ROUTES.circuitBreaker.route, answer, readProvisioningBreaker)
      // Compare two times of the orchestrator: the local clock may be an hour ahead.
      const retryAfterMs = breakerWaitMs(breaker, parseHttpDate(answer.headers.get('date')))
      return retryAfterMs === undefined ? {} : { retryAfterMs }
    } catch (error) {
      // While 2026-04 has no engines it cannot be distinguished from v1, and it does not have this route.
      if (isNotFound(error)) return {}
      throw error
    }
  }

  /** Reads a list. If the route does not exist, the dialect may be wrong, so it is forgotten. */
  async #list<Entry>(
    route: Route,
    decoder: SlicedDecoder<WireList<Entry>>,
    options: CallOptions,
    content?: Content,
  ): Promise<WireList<Entry>> {
    try {
      const answer = await this.#send(route, options, content)
      if (answer.body.length > LONG_TEXT) return await this.#requester.readInTurns(route.route, answer, decoder)
      return this.#requester.read(route.route, answer, (value) => finish(decoder(value)))
    } catch (error) {
      if (isNotFound(error)) {
        this.#dialects.forget()
        this.#generation = undefined
      }
      throw error
    }
  }

  async #call<Output>(route: Route, read: Decoder<Output>, options: CallOptions, content?: Content): Promise<Output> {
    const answer = await this.#send(route, options, content)
    return this.#requester.read(route.route, answer, read)
  }

  /** Sends a request in the dialect of the orchestrator. */
  #send(route: Route, options: CallOptions, content?: Content): Promise<Answer> {
    const dialect = this.#dialects.known
    return dialect === undefined ? this.#resolveAndSend(route, options, content) : this.#sendIn(dialect, route, options, content)
  }

  async #resolveAndSend(route: Route, options: CallOptions, content?: Content): Promise<Answer> {
    return this.#sendIn(await this.#dialects.resolve(options), route, options, content)
  }

  #sendIn(dialect: Dialect, { route, method, path }: Route, options: CallOptions, content: Content = {}): Promise<Answer> {
    const { signal, timeoutMs, failsFast, attempt } = options
    const { body, query, refine } = content
    const pathInDialect = this.#dialects.pathFor(dialect, path)
    return this.#requester.send({ route, method, path: pathInDialect, dialect, query, body, refine, signal, timeoutMs, failsFast, attempt })
  }
}

/** Characters of an answer that is long. To parse it takes more than a millisecond. */
const LONG_TEXT = 1_000_000
/** Entries of a list that is long. To read it has blocked the event loop for some milliseconds: other work goes before it is used. */
const LONG = 2_000

function isLong(list: WireList<unknown> | undefined): boolean {
  return list !== undefined && list.entries.length > LONG
}

/** What a request carries, and how its refusal is read. */
type Content = Pick<WireRequest, 'query' | 'body' | 'refine'>

function isNotFound(error: unknown): boolean {
  return error instanceof ResponseError && error.status === 404
}
