import { AuthenticationError, OrchestratorError } from '../errors.ts'
import type { Generation } from '../model/diagnosis.ts'
import type { OrchestratorHealth, OrchestratorStatus } from '../model/health.ts'
import { silentLogger } from '../runtime/logger.ts'
import { makeRandomId } from '../runtime/random.ts'
import type { Redact } from '../runtime/redaction.ts'
import type { Sequence } from '../runtime/sequence.ts'
import type { SteadyClock } from '../runtime/steady-clock.ts'
import type { Transport, TransportRequest, TransportResponse, TransportStream } from '../runtime/transport.ts'
import { readIfMatching, readObject } from './decoding.ts'
import { wireChunk } from './link.ts'
import type { ListedEngines } from './listed-engines.ts'
import { type AnswerTraits, isOfProxy, type Obstacle, obstacleFrom } from './obstacles.ts'
import { type Dialect, ROUTES } from './routes.ts'
import type { Wire } from './wire.ts'

type WireCode = typeof import('./wire.ts')

/** Options of {@link Inspection}: how it sends requests. */
export interface InspectionParts {
  readonly baseUrl: URL
  readonly apiKey?: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly dialect: 'auto' | Dialect
  readonly transport: Transport
  readonly clock: SteadyClock
  readonly sequence: Sequence
  /** The limit of each request, milliseconds. */
  readonly requestTimeoutMs: number
  /** Ends all requests. */
  readonly signal: AbortSignal
}

/** An engine list, or why there is none. */
export type EnginesFound = { readonly listed: ListedEngines; readonly requestedAt: number } | { readonly obstacle: Obstacle }

/** Whether the key is accepted, and why that could not be found out. */
export interface KeyFound {
  readonly key: OrchestratorHealth['key']
  readonly obstacle?: Obstacle
}

/** The status of the orchestrator, with details for a diagnosis. */
export interface StatusFound extends OrchestratorStatus {
  /** Whether it uses a VPN that is not connected. */
  readonly isVpnDown: boolean
  /** Whether its circuit breaker for provisioning is open. */
  readonly isBreakerOpen: boolean
}

/**
 * Looks at an orchestrator without changing anything there, and apart from the client: no circuit breaker stops these requests, no metric counts
 * them, and no other part of the client sees the answers.
 */
export class Inspection {
  /** Removes the secrets from a text. */
  readonly redact: Redact
  readonly #parts: InspectionParts
  readonly #recorder: Recorder
  readonly #wire: Wire
  readonly #code: WireCode

  private constructor(parts: InspectionParts, code: WireCode) {
    this.#code = code
    const { clock, requestTimeoutMs, sequence, signal: lifetime, baseUrl, apiKey, headers, dialect } = parts
    this.#parts = parts
    this.#recorder = new Recorder(parts.transport, clock, code)
    this.#wire = new code.Wire({
      baseUrl,
      apiKey,
      headers,
      dialect,
      clock,
      requestTimeoutMs,
      sequence,
      lifetime,
      transport: this.#recorder,
      maxConcurrentRequests: MAX_CONCURRENT_REQUESTS,
      logger: silentLogger,
      onStartAcknowledged: () => {},
    })
    this.redact = this.#wire.requester.redact
  }

  /**
   * Makes an inspection. It imports the code that sends requests as every client does: a static import would cut that code into two files.
   *
   * @throws {@link ConnectionError} if the code cannot be loaded
   */
  static async open(parts: InspectionParts): Promise<Inspection> {
    return new Inspection(parts, await wireChunk.load())
  }

  /** The generation, judged by the answers so far. */
  get generation(): Generation | undefined {
    return this.#wire.calls.generation
  }

  /** Whether v1's internal port (8083) answered: it has no status, and starts no engines. */
  get isInternalPort(): boolean {
    return this.#wire.calls.isInternalPort
  }

  /** Milliseconds between the last request for the engine list and its answer; `undefined` without an answer. */
  get latencyMs(): number | undefined {
    return this.#recorder.find(({ url }) => url.endsWith(`/${ROUTES.engines.path}`))?.latencyMs
  }

  /** Milliseconds by which the server's clock is ahead, by its fastest answer with a date; `undefined` without one. */
  get clockSkewMs(): number | undefined {
    return this.#recorder.fastestDated?.skewMs
  }

  /** Whether an orchestrator answered with an error. The errors of a proxy in front have other texts. */
  get hasRefused(): boolean {
    const isRefusal = ({ status, body }: Recorded): boolean => status !== 404 && status >= 400 && /^\{"(?:error|detail)":/.test(body)
    return this.#recorder.find(isRefusal) !== undefined
  }

  /** Reads the engine list. */
  async readEngines(): Promise<EnginesFound> {
    const found = await this.#readEngines()
    // A connection that was kept from an earlier request breaks if the server has been restarted. The second attempt uses a new one.
    return 'obstacle' in found && found.obstacle.kind === 'broken' ? await this.#readEngines() : found
  }

  async #readEngines(): Promise<EnginesFound> {
    const requestedAt = this.#parts.sequence.next()
    try {
      return { listed: await this.#wire.calls.listEngines({ signal: this.#parts.signal }), requestedAt }
    } catch (error) {
      return { obstacle: this.#obstacleFrom(error) }
    }
  }

  /** Reads the status. v1's internal port has none. */
  async readStatus(): Promise<StatusFound | { readonly obstacle: Obstacle }> {
    const { calls } = this.#wire
    try {
      const status = await calls.status({ signal: this.#parts.signal })
      const { body = '' } = this.#recorder.find(({ url }) => url.endsWith(`/${ROUTES.status.path}`)) ?? {}
      const details = readDetails(JSON.parse(body))
      return { ...status, ...details, isBreakerOpen: details.isBreakerOpen || status.provisioning.code === 'circuit_breaker' }
    } catch (error) {
      return { obstacle: this.#obstacleFrom(error) }
    }
  }

  /** Milliseconds until v1's circuit breaker for provisioning accepts a request; `undefined` if that is not known. */
  async readBreakerWaitMs(): Promise<number | undefined> {
    try {
      return (await this.#wire.calls.circuitBreaker({ signal: this.#parts.signal })).retryAfterMs
    } catch (error) {
      this.#obstacleFrom(error)
      return undefined
    }
  }

  /**
   * Finds out whether the key is accepted, after {@link readEngines} succeeded. Reads prove nothing, except on v1's internal port. It opens the event
   * stream of v1, where events need no key, and on other generations it sends the fenced end of a stream that never existed, which ends nothing (H1).
   */
  async checkKey(): Promise<KeyFound> {
    const accepted = { key: this.#hasKey ? 'accepted' : 'none' } as const
    if (this.isInternalPort) return accepted
    const { requester, calls, dialects } = this.#wire
    const { signal } = this.#parts
    try {
      if (this.generation === 'v1' && !requester.canStream) return { key: 'unknown' }
      if (dialects.known === 'v1' && this.generation !== '2026-04' && (await this.#openPushes())) return accepted
      await calls.endStream({ streamId: `diagnosis-${makeRandomId()}`, reason: 'diagnosis' }, { signal })
      return accepted
    } catch (error) {
      const obstacle = this.#obstacleFrom(error)
      if (error instanceof AuthenticationError && !isOfProxy(obstacle)) return { key: 'rejected' }
      return { key: 'unknown', obstacle }
    }
  }

  get #hasKey(): boolean {
    return this.#parts.apiKey !== undefined && this.#parts.apiKey !== ''
  }

  /** Opens the event stream of v1 and closes it at once. Returns `false` if there is none: 2026-04 without engines looks like v1. */
  async #openPushes(): Promise<boolean> {
    const { requester, dialects } = this.#wire
    if (!requester.canStream) return false
    const opened = new AbortController()
    const onAbort = (): void => opened.abort(this.#parts.signal.reason)
    this.#parts.signal.addEventListener('abort', onAbort, { once: true })
    try {
      const path = dialects.pathFor('v1', ROUTES.pushes.path)
      await requester.open({ ...ROUTES.pushes, dialect: 'v1', path, signal: opened.signal })
      return true
    } catch (error) {
      if (error instanceof OrchestratorError && this.#obstacleFrom(error).kind === 'missing' && this.generation !== 'v1') return false
      throw error
    } finally {
      this.#parts.signal.removeEventListener('abort', onAbort)
      opened.abort()
    }
  }

  /** @throws the error, if it is none of this library: the reason of the signal */
  #obstacleFrom(error: unknown): Obstacle {
    if (!(error instanceof OrchestratorError)) throw error
    const status = 'status' in error ? error.status : undefined
    const answer = status === undefined ? undefined : this.#recorder.find((recorded) => recorded.status === status)
    return obstacleFrom(error, this.#code.withoutNetworkAdvice(error.message), answer, this.redact)
  }
}

const MAX_CONCURRENT_REQUESTS = 4

/** Reads the parts of a status that only a diagnosis needs. */
function readDetails(value: unknown): Pick<StatusFound, 'isVpnDown' | 'isBreakerOpen'> {
  const { vpn, provisioning } = readObject(value)
  const { enabled, connected, healthy } = readIfMatching(vpn, readObject) ?? {}
  const { circuit_breaker_state } = readIfMatching(provisioning, readObject) ?? {}
  return {
    // 2025-10 and 2026-04 say `connected: false` also if they use no VPN. v1 counts the nodes that work.
    isVpnDown: enabled === true && (connected === false || healthy === 0),
    isBreakerOpen: circuit_breaker_state === 'open',
  }
}

/** An answer, with times. */
interface Recorded extends AnswerTraits {
  readonly latencyMs: number
  readonly skewMs: number | undefined
}

const MAX_RECORDED = 32
/** Half of a second, by which a date in a header is early on average. */
const HALF_A_SECOND_MS = 500

/** Sends requests through the transport of the client, and keeps the answers: an error does not have all that they show. */
class Recorder implements Transport {
  readonly stream: Transport['stream']
  readonly #transport: Transport
  readonly #clock: SteadyClock
  readonly #code: WireCode
  readonly #recorded: Recorded[] = []

  constructor(transport: Transport, clock: SteadyClock, code: WireCode) {
    this.#transport = transport
    this.#clock = clock
    this.#code = code
    if (typeof transport.stream === 'function') this.stream = (request) => this.#open(request)
  }

  /** The last answer that fits. */
  find(fits: (recorded: Recorded) => boolean): Recorded | undefined {
    return this.#recorded.findLast(fits)
  }

  /** The answer with a date that took the least time: its date is compared most exactly. */
  get fastestDated(): Recorded | undefined {
    const dated = this.#recorded.filter(({ skewMs }) => skewMs !== undefined)
    return dated.sort((a, b) => a.latencyMs - b.latencyMs)[0]
  }

  async request(request: TransportRequest): Promise<TransportResponse> {
    const sent = this.#sent(request)
    const answer = await this.#transport.request(request)
    sent(answer)
    return answer
  }

  async #open(request: TransportRequest): Promise<TransportStream> {
    const sent = this.#sent(request)
    const answer = await (this.#transport.stream as NonNullable<Transport['stream']>)(request)
    sent({ ...answer, body: '' })
    return answer
  }

  #sent({ url: { origin, pathname } }: TransportRequest): (answer: TransportResponse) => void {
    const clock = this.#clock
    const [sentAt, sentAtWall] = [clock.now(), clock.wallNow()]
    return ({ status, headers: given, body }) => {
      const { headersFrom, looksLikeHtml, parseHttpDate, schemeOf } = this.#code
      const headers = headersFrom(given)
      const date = parseHttpDate(headers.get('date'))
      const middle = (sentAtWall + clock.wallNow()) / 2
      this.#recorded.push({
        status: Number(status),
        url: `${origin}${pathname}`,
        headers,
        body: String(body),
        hasHtml: looksLikeHtml(String(body)),
        scheme: schemeOf(headers),
        latencyMs: clock.now() - sentAt,
        skewMs: date === undefined ? undefined : Math.round(date + HALF_A_SECOND_MS - middle),
      })
      if (this.#recorded.length > MAX_RECORDED) this.#recorded.shift()
    }
  }
}
