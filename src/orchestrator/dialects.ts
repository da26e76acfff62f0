import * as v from 'valibot'
import { ResponseError } from '../errors.ts'
import { waitUnlessAborted } from '../runtime/abort.ts'
import type { CallOptions, Requester, WireRequest } from './requester.ts'
import { EngineListSchema } from './schemas.ts'

/** How paths are written: as they are (Python, and v1's internal port), or below `api/v1` (v1). */
export type Dialect = 'unversioned' | 'v1'

const V1_PREFIX = 'api/v1/'
const V1_BASE = /\/api\/v1\/*$/

/** Finds out which dialect the orchestrator speaks, by asking once; failures are no answer to that question. */
export class DialectResolver {
  readonly #requester: Requester
  readonly #configured: 'auto' | Dialect
  /** Whether the base URL already holds v1's prefix. */
  readonly #isPrefixed: boolean
  /** Aborts with the client. */
  readonly #lifetime: AbortSignal
  #known: Dialect | undefined
  #flight: Promise<Dialect> | undefined

  constructor(requester: Requester, configured: 'auto' | Dialect, lifetime: AbortSignal) {
    this.#requester = requester
    this.#configured = configured
    this.#lifetime = lifetime
    this.#isPrefixed = V1_BASE.test(requester.baseUrl.pathname)
    this.#known = configured === 'auto' ? (this.#isPrefixed ? 'v1' : undefined) : configured
  }

  /** The dialect, if it is known without asking. */
  get known(): Dialect | undefined {
    return this.#known
  }

  /** The dialect; asks for it where it is not known. Callers share the question, and an abort ends its caller's wait only. */
  async resolve(options: CallOptions = {}): Promise<Dialect> {
    options.signal?.throwIfAborted()
    if (this.#known !== undefined) return this.#known
    this.#flight ??= this.#probe().finally(() => {
      this.#flight = undefined
    })
    return waitUnlessAborted(this.#flight, options.signal)
  }

  /**
   * Takes back a dialect that was found by asking, because the orchestrator answers its lists with 404 now: it was replaced by another
   * generation, or the 404 that told the dialect came from a reverse proxy in front of an orchestrator that was still starting.
   */
  doubt(): void {
    if (this.#configured === 'auto' && !this.#isPrefixed) this.#known = undefined
  }

  /** A path as this dialect writes it, relative to the base URL. */
  pathFor(dialect: Dialect, path: string): string {
    return dialect === 'v1' && !this.#isPrefixed ? V1_PREFIX + path : path
  }

  async #probe(): Promise<Dialect> {
    this.#known = await this.#ask()
    return this.#known
  }

  async #ask(): Promise<Dialect> {
    try {
      const answer = await this.#requester.send({
        ...ROUTES.engines,
        path: this.pathFor('v1', ROUTES.engines.path),
        expectedStatus: 404,
        // Not a caller's signal: the question is shared.
        signal: this.#lifetime,
      })
      this.#requester.read(ROUTES.engines, answer, EngineListSchema)
      return answersBoth(JSON.parse(answer.body)) ? 'unversioned' : 'v1'
    } catch (error) {
      if (error instanceof ResponseError && error.status === 404) return 'unversioned'
      throw error
    }
  }
}

const PythonEnginesSchema = v.pipe(v.array(v.object({ draining: v.optional(v.never()), monitor_stream_count: v.number() })), v.nonEmpty())

/**
 * Whether this is 2026-04, which answers both: unversioned is one request a refresh there. Only what v1 never says tells it; in doubt it
 * is v1, which 2026-04 speaks as well.
 */
function answersBoth(engines: unknown): boolean {
  return v.is(PythonEnginesSchema, engines)
}

/** What a route is called in metrics and errors, and how it is written, but for the dialect's prefix. */
export type Route = Pick<WireRequest, 'route' | 'method' | 'path'>

/** Every route this client uses. */
export const ROUTES: Readonly<
  Record<'engines' | 'streams' | 'start' | 'end' | 'provision' | 'status' | 'circuitBreaker' | 'pushes' | 'version', Route>
> = {
  engines: { route: 'GET /engines', method: 'GET', path: 'engines' },
  streams: { route: 'GET /streams', method: 'GET', path: 'streams' },
  start: { route: 'POST /events/stream_started', method: 'POST', path: 'events/stream_started' },
  end: { route: 'POST /events/stream_ended', method: 'POST', path: 'events/stream_ended' },
  provision: { route: 'POST /provision/acestream', method: 'POST', path: 'provision/acestream' },
  status: { route: 'GET /orchestrator/status', method: 'GET', path: 'orchestrator/status' },
  circuitBreaker: { route: 'GET /circuit-breaker', method: 'GET', path: 'circuit-breaker' },
  pushes: { route: 'GET /events/stream', method: 'GET', path: 'events/stream' },
  version: { route: 'GET /version', method: 'GET', path: 'version' },
}
