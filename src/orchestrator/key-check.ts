import type { OrchestratorError } from '../errors.ts'
import type { OrchestratorHealth } from '../model/health.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Dialect } from './routes.ts'
import { ROUTES } from './routes.ts'

/** Whether the orchestrator accepts the API key. */
export type KeyState = OrchestratorHealth['key']

/** Dependencies and options of {@link KeyCheck}. */
export interface KeyCheckParts {
  apiKey: string | undefined
  logger: Logger
  /** Called after {@link KeyCheck.state} changed. */
  onChange: () => void
}

const EVENTS: ReadonlySet<string> = new Set([ROUTES.start.route, ROUTES.end.route])
/** Routes that need the key in every generation that has them. */
const GUARDED: ReadonlySet<string> = new Set([ROUTES.provision.route, ROUTES.pushes.route])

/** Successes in a row after which a read that was rejected is forgotten. A rate limiter rejects some reads only. */
const ACCEPTED_AFTER = 100

/**
 * Finds out from the answers to requests whether the orchestrator accepts the API key, and logs a rejection once as `error`. It sends no request.
 *
 * Reads need no key, so a wrong key shows with the first event, request for an engine or event stream. Once one of these has proved the key, a
 * rejected read was rejected by another program (a reverse proxy, a rate limiter), and is logged as a separate `error`.
 */
export class KeyCheck {
  readonly #logger: Logger
  readonly #hasKey: boolean
  readonly #onChange: () => void
  #state: KeyState
  #isProven = false
  /** Routes that a proxy in front of the orchestrator rejects, for want of its own credentials. The first of them is logged. */
  readonly #rejectedByProxy = new Set<string>()
  /**
   * Routes that need the key and were rejected since the last proof. If one of them succeeds later, the key is proved, although events need none on
   * v1's port 8000.
   */
  readonly #rejected = new Set<string>()
  /** Reads that were rejected (v1's port 8083, a reverse proxy), with their successes since then, and whether that was logged. */
  readonly #rejectedReads = new Map<string, { successCount: number; isLogged: boolean }>()

  constructor({ apiKey, logger, onChange }: KeyCheckParts) {
    this.#logger = logger
    this.#onChange = onChange
    this.#hasKey = apiKey !== undefined && apiKey !== ''
    this.#state = this.#hasKey ? 'unknown' : 'none'
  }

  /** The state, judged by the answers so far. */
  get state(): KeyState {
    return this.#state
  }

  /** Records a success. Events prove nothing on v1's port 8000, where they need no key. */
  succeeded(route: string, dialect: Dialect | undefined): void {
    if (this.#rejectedByProxy.delete(route) && this.#rejectedByProxy.size === 0)
      this.#logger.info('The proxy in front of the orchestrator passes all requests on again')
    const isProof = GUARDED.has(route) || (dialect === 'unversioned' && EVENTS.has(route)) || this.#rejected.has(route)
    if (isProof) {
      this.#prove()
      return
    }
    const read = this.#rejectedReads.get(route)
    if (read === undefined) return
    read.successCount += 1
    if (read.successCount >= ACCEPTED_AFTER) this.#rejectedReads.delete(route)
    if (!this.#isProven && this.#rejected.size === 0) this.#prove()
  }

  /**
   * Records an answer of 401 or 403.
   *
   * @param isOfProxy whether a proxy in front of the orchestrator has answered. That says nothing about the key
   */
  rejected(route: string, error: OrchestratorError, isOfProxy = false): void {
    const where = URL.parse(error.url ?? '')?.origin
    const orchestrator = where === undefined ? 'The orchestrator' : `The orchestrator at ${where}`
    if (isOfProxy) {
      if (this.#rejectedByProxy.size === 0)
        this.#logger.error(`${orchestrator} is behind a proxy that rejects requests. Pass its credentials in the option headers`, { error })
      this.#rejectedByProxy.add(route)
      return
    }
    if (GUARDED.has(route) || EVENTS.has(route)) this.#rejected.add(route)
    else {
      const read = this.#rejectedReads.get(route) ?? { successCount: 0, isLogged: false }
      this.#rejectedReads.set(route, read)
      read.successCount = 0
      if (this.#isProven) {
        if (this.#state === 'rejected' || read.isLogged) return
        read.isLogged = true
        const problem = this.#hasKey ? 'but accepts the API key elsewhere' : 'but requires no API key elsewhere'
        this.#logger.error(`${orchestrator} rejects ${route}, ${problem}. Check the proxy in front of it`, { error })
        return
      }
    }
    if (this.#state === 'rejected') return
    const problem = this.#hasKey ? 'rejects the API key' : 'requires an API key, and none is set'
    this.#logger.error(`${orchestrator} ${problem}. Set apiKey (ACEXY_ORCH_APIKEY) to the API_KEY of the orchestrator`, { error })
    this.#change('rejected')
  }

  #prove(): void {
    // Almost every answer to an event proves the key once more.
    if (this.#isProven && this.#rejected.size === 0 && this.#state !== 'rejected') return
    if (this.#state === 'rejected')
      this.#logger.info(`The orchestrator ${this.#hasKey ? 'accepts the API key' : 'requires no API key'} again`)
    this.#isProven = true
    this.#rejected.clear()
    this.#change(this.#hasKey ? 'accepted' : 'none')
  }

  #change(state: KeyState): void {
    if (state === this.#state) return
    this.#state = state
    this.#onChange()
  }
}
