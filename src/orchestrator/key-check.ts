import type { OrchestratorError } from '../errors.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Dialect } from './dialects.ts'
import type { OrchestratorHealth } from './domain.ts'
import { ROUTES } from './routes.ts'

/** What is known about the API key. */
export type KeyState = OrchestratorHealth['key']

const EVENTS: ReadonlySet<string> = new Set([ROUTES.start.route, ROUTES.end.route])
/** Every generation that has them wants the key for these. */
const GUARDED: ReadonlySet<string> = new Set([ROUTES.provision.route, ROUTES.pushes.route])

/**
 * Finds out from the answers to requests whether the orchestrator accepts the API key, and logs a rejection once. It makes no request of its
 * own: reads are open, so that a wrong key shows with the first event, request for an engine or event stream.
 */
export class KeyCheck {
  readonly #logger: Logger
  readonly #hasKey: boolean
  #state: KeyState
  /** What was rejected. Where one of these succeeds, the key is accepted, even if it is a read (v1's port 8083, a reverse proxy). */
  readonly #rejected = new Set<string>()
  /** Called when the state has changed. */
  onChange: () => void = () => {}

  constructor({ apiKey, logger }: { apiKey?: string | undefined; logger: Logger }) {
    this.#logger = logger
    this.#hasKey = apiKey !== undefined && apiKey !== ''
    this.#state = this.#hasKey ? 'unknown' : 'none'
  }

  get state(): KeyState {
    return this.#state
  }

  /** A request succeeded. On v1's port 8000 events are open, and prove nothing. */
  succeeded(route: string, dialect: Dialect | undefined): void {
    const isProof = GUARDED.has(route) || (dialect === 'unversioned' && EVENTS.has(route)) || this.#rejected.has(route)
    if (!isProof) return
    if (this.#state === 'rejected') this.#logger.info(`The orchestrator ${this.#hasKey ? 'accepts the API key' : 'wants no API key'} again`)
    this.#rejected.clear()
    this.#change(this.#hasKey ? 'accepted' : 'none')
  }

  /** A request was answered with 401 or 403. */
  rejected(route: string, error: OrchestratorError): void {
    this.#rejected.add(route)
    if (this.#state === 'rejected') return
    const where = URL.parse(error.url ?? '')?.origin
    const orchestrator = where === undefined ? 'The orchestrator' : `The orchestrator at ${where}`
    const problem = this.#hasKey ? 'rejects the API key' : 'wants an API key, and none is set'
    this.#logger.error(`${orchestrator} ${problem}. Set apiKey (ACEXY_ORCH_APIKEY) to the API_KEY of the orchestrator`, { error })
    this.#change('rejected')
  }

  #change(state: KeyState): void {
    if (state === this.#state) return
    this.#state = state
    this.onChange()
  }
}
