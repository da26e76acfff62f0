import { ResponseError } from '../errors.ts'
import { waitUnlessAborted } from '../runtime/abort.ts'
import { isPythonEngine } from './generation.ts'
import type { CallOptions, Requester } from './requester.ts'
import { configuredDialect, type Dialect, hasV1Prefix, ROUTES } from './routes.ts'
import { readEngineList } from './wire-lists.ts'

const V1_PREFIX = 'api/v1/'

/**
 * Finds out which dialect to use: from the configuration, from a base URL that ends in `api/v1`, or by one read of `api/v1/engines`. If that read
 * fails, the dialect stays unknown.
 */
export class DialectResolver {
  readonly #requester: Requester
  readonly #configured: 'auto' | Dialect
  /** Whether the base URL already has the prefix of v1. */
  readonly #isPrefixed: boolean
  /** Aborts with the client. */
  readonly #lifetime: AbortSignal
  #known: Dialect | undefined
  #lacksV1 = false
  #flight: Promise<Dialect> | undefined

  constructor(requester: Requester, configured: 'auto' | Dialect, lifetime: AbortSignal) {
    this.#requester = requester
    this.#configured = configured
    this.#lifetime = lifetime
    this.#isPrefixed = hasV1Prefix(requester.baseUrl)
    this.#known = configuredDialect(configured, requester.baseUrl)
  }

  /** The dialect; `undefined` while it is not known. */
  get known(): Dialect | undefined {
    return this.#known
  }

  /** Whether the orchestrator answered that it does not have the routes of v1: it is not 2026-04. */
  get lacksV1(): boolean {
    return this.#lacksV1
  }

  /** Returns the dialect. Reads it from the orchestrator if it is not known; callers share one read. An abort ends only its caller's wait. */
  async resolve(options: CallOptions = {}): Promise<Dialect> {
    options.signal?.throwIfAborted()
    if (this.#known !== undefined) return this.#known
    this.#flight ??= this.#probe(options.attempt).finally(() => {
      this.#flight = undefined
    })
    return waitUnlessAborted(this.#flight, options.signal)
  }

  /**
   * Forgets a dialect that was read from the orchestrator, because a list is answered with 404. Another generation has replaced the orchestrator, or
   * the answer that determined the dialect came from a reverse proxy while the orchestrator was starting.
   */
  forget(): void {
    if (this.#configured === 'auto' && !this.#isPrefixed) this.#known = undefined
  }

  /** The path in this dialect, relative to the base URL. */
  pathFor(dialect: Dialect, path: string): string {
    return dialect === 'v1' && !this.#isPrefixed ? V1_PREFIX + path : path
  }

  async #probe(attempt: number | undefined): Promise<Dialect> {
    this.#lacksV1 = false
    this.#known = await this.#read(attempt)
    return this.#known
  }

  async #read(attempt: number | undefined): Promise<Dialect> {
    try {
      const answer = await this.#requester.send({
        ...ROUTES.engines,
        path: this.pathFor('v1', ROUTES.engines.path),
        expectedStatus: 404,
        // Not the signal of one caller, because callers share this read.
        signal: this.#lifetime,
        attempt,
      })
      this.#requester.read(ROUTES.engines.route, answer, readEngineList)
      return answersBoth(JSON.parse(answer.body)) ? 'unversioned' : 'v1'
    } catch (error) {
      if (!(error instanceof ResponseError && error.status === 404)) throw error
      this.#lacksV1 = true
      return 'unversioned'
    }
  }
}

/**
 * Whether the engines come from 2026-04, which answers in both dialects. They have fields that v1 never has. Prefer `unversioned` there: a refresh
 * needs one request instead of two. If it is not certain, use `v1`, which both generations understand.
 */
function answersBoth(engines: unknown): boolean {
  return Array.isArray(engines) && engines.length > 0 && engines.every(isPythonEngine)
}
