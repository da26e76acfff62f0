import type { Logger } from '../runtime/logger.ts'
import { isPromiseLike, toPromise } from '../runtime/maybe-promise.ts'
import type { ClientEventListener, ClientEventName, ClientEvents } from './events.ts'

/** Errors of listeners that are logged as `error`; further errors are logged as `debug`. Messages that differ each time must not fill the log. */
const MAX_LOGGED = 100

type AnyListener = (event: never) => void

/**
 * Calls listeners of typed events. Unlike the `EventEmitter` of Node it runs on every platform, and a listener that throws stops neither the other
 * listeners nor the code that emits.
 */
export class Emitter {
  readonly #listeners = new Map<ClientEventName, Set<AnyListener>>()
  /** The listener of each wrapper that `once` made, so that `off` finds it. */
  readonly #originals = new WeakMap<AnyListener, AnyListener>()
  readonly #logger: Logger
  readonly #logged = new Set<string>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** Calls `listener` with each event of this name. A listener that is added twice is called once. */
  on<Name extends ClientEventName>(name: Name, listener: ClientEventListener<Name>): void {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners.add(listener))
  }

  /** Calls `listener` with the next event of this name only. */
  once<Name extends ClientEventName>(name: Name, listener: ClientEventListener<Name>): void {
    const wrapper: ClientEventListener<Name> = (event) => {
      this.off(name, wrapper)
      // Return its promise too: `emit` must catch its rejection.
      return listener(event)
    }
    this.#originals.set(wrapper, listener)
    this.on(name, wrapper)
  }

  /** Removes a listener that `on` or `once` added. */
  off<Name extends ClientEventName>(name: Name, listener: ClientEventListener<Name>): void {
    const listeners = this.#listeners.get(name)
    if (listeners === undefined) return
    for (const candidate of listeners) {
      if (candidate === listener || this.#originals.get(candidate) === listener) listeners.delete(candidate)
    }
    if (listeners.size === 0) this.#listeners.delete(name)
  }

  /** Calls the listeners in the order in which they were added. */
  emit<Name extends ClientEventName>(name: Name, event: ClientEvents[Name]): void {
    const listeners = this.#listeners.get(name)
    if (listeners === undefined) return
    for (const listener of [...listeners] as ClientEventListener<Name>[]) {
      try {
        const result: unknown = listener(event)
        if (isPromiseLike(result)) toPromise(result).catch((error: unknown) => this.#warn(name, error))
      } catch (error) {
        this.#warn(name, error)
      }
    }
  }

  /** Logs each event and message once as `error`, then as `debug`: a listener that throws does so for each viewer. */
  #warn(event: ClientEventName, error: unknown): void {
    const failure = `${event} ${error instanceof Error ? error.message : ''}`
    const isNew = !this.#logged.has(failure) && this.#logged.size < MAX_LOGGED
    if (isNew) this.#logged.add(failure)
    this.#logger[isNew ? 'error' : 'debug']('A listener threw', { event, error })
  }

  /** Removes all listeners. */
  clear(): void {
    this.#listeners.clear()
  }
}
