import type { OrchestratorError } from '../errors.ts'
import type { OrchestratorHealth } from '../model/health.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Dialect } from './dialects.ts'
import { ROUTES } from './dialects.ts'

/** What is known about the API key. */
export type KeyState = OrchestratorHealth['key']

/** Dependencies and options of {@link KeyCheck}. */
export interface KeyCheckParts {
  apiKey: string | undefined
  logger: Logger
  /** Called after {@link KeyCheck.state} changed. */
  onChange: () => void
}

const EVENTS: ReadonlySet<string> = new Set([ROUTES.start.route, ROUTES.end.route])
/** Every generation that has them wants the key for these. */
const GUARDED: ReadonlySet<string> = new Set([ROUTES.provision.route, ROUTES.pushes.route])

/** A read that is rejected now and then, as by a rate limiter, counts as accepted after so many successes in a row. */
const ACCEPTED_AFTER = 100

/**
 * Finds out from the answers to requests whether the orchestrator accepts the API key, and logs a rejection once. It makes no request of its
 * own: reads are open, so that a wrong key shows with the first event, request for an engine or event stream. Once one of these has proved the
 * key, a read that is rejected all the same (by a reverse proxy, a rate limiter) is a problem of its own, and is logged as such.
 */
export class KeyCheck {
  readonly #logger: Logger
  readonly #hasKey: boolean
  readonly #onChange: () => void
  #state: KeyState
  #isProven = false
  /** Routes that need the key and were rejected since the last proof. Success of one is proof, also where it is open elsewhere. */
  readonly #rejected = new Set<string>()
  /** Reads that were rejected, with their successes since then, and whether a line named them (v1's port 8083, a reverse proxy). */
  readonly #rejectedReads = new Map<string, { successCount: number; isLogged: boolean }>()

  constructor({ apiKey, logger, onChange }: KeyCheckParts) {
    this.#logger = logger
    this.#onChange = onChange
    this.#hasKey = apiKey !== undefined && apiKey !== ''
    this.#state = this.#hasKey ? 'unknown' : 'none'
  }

  get state(): KeyState {
    return this.#state
  }

  /** A request succeeded. On v1's port 8000 events are open, and prove nothing. */
  succeeded(route: string, dialect: Dialect | undefined): void {
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

  /** A request was answered with 401 or 403. */
  rejected(route: string, error: OrchestratorError): void {
    const where = URL.parse(error.url ?? '')?.origin
    const orchestrator = where === undefined ? 'The orchestrator' : `The orchestrator at ${where}`
    if (GUARDED.has(route) || EVENTS.has(route)) this.#rejected.add(route)
    else {
      const read = this.#rejectedReads.get(route) ?? { successCount: 0, isLogged: false }
      this.#rejectedReads.set(route, read)
      read.successCount = 0
      if (this.#isProven) {
        if (this.#state === 'rejected' || read.isLogged) return
        read.isLogged = true
        const problem = this.#hasKey ? 'but accepts the API key elsewhere' : 'but wants no API key elsewhere'
        this.#logger.error(`${orchestrator} rejects ${route}, ${problem}. Check the proxy in front of it`, { error })
        return
      }
    }
    if (this.#state === 'rejected') return
    const problem = this.#hasKey ? 'rejects the API key' : 'wants an API key, and none is set'
    this.#logger.error(`${orchestrator} ${problem}. Set apiKey (ACEXY_ORCH_APIKEY) to the API_KEY of the orchestrator`, { error })
    this.#change('rejected')
  }

  #prove(): void {
    if (this.#state === 'rejected') this.#logger.info(`The orchestrator ${this.#hasKey ? 'accepts the API key' : 'wants no API key'} again`)
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
