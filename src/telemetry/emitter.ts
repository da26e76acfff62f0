import type { Logger } from '../runtime/logger.ts'
import { isPromiseLike, promiseOf } from '../runtime/maybe-promise.ts'
import type { ClientEventListener, ClientEventName, ClientEvents } from './events.ts'

/** Messages that differ each time must not fill the log. */
const MOST_LOGGED = 100

type AnyListener = (event: never) => void

/** Typed events. Unlike node's emitter it runs everywhere, and a listener that throws neither stops the others nor the caller. */
export class Emitter {
  readonly #listeners = new Map<ClientEventName, Set<AnyListener>>()
  /** A wrapper made by `once` -> the listener it was made for, so that `off` finds it. */
  readonly #originals = new WeakMap<AnyListener, AnyListener>()
  readonly #logger: Logger
  readonly #logged = new Set<string>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  on<Name extends ClientEventName>(name: Name, listener: ClientEventListener<Name>): void {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners.add(listener))
  }

  once<Name extends ClientEventName>(name: Name, listener: ClientEventListener<Name>): void {
    const wrapper: ClientEventListener<Name> = (event) => {
      this.off(name, wrapper)
      // Its promise too, or its rejection would be nobody's.
      return listener(event)
    }
    this.#originals.set(wrapper, listener)
    this.on(name, wrapper)
  }

  off<Name extends ClientEventName>(name: Name, listener: ClientEventListener<Name>): void {
    const listeners = this.#listeners.get(name)
    if (listeners === undefined) return
    for (const candidate of listeners) {
      if (candidate === listener || this.#originals.get(candidate) === listener) listeners.delete(candidate)
    }
    if (listeners.size === 0) this.#listeners.delete(name)
  }

  emit<Name extends ClientEventName>(name: Name, event: ClientEvents[Name]): void {
    const listeners = this.#listeners.get(name)
    if (listeners === undefined) return
    for (const listener of [...listeners] as ClientEventListener<Name>[]) {
      try {
        const heard: unknown = listener(event)
        if (isPromiseLike(heard)) promiseOf(heard).catch((error: unknown) => this.#warn(name, error))
      } catch (error) {
        this.#warn(name, error)
      }
    }
  }

  /** Logged as an error once for each event and message: a listener that throws does so for each viewer. */
  #warn(event: ClientEventName, error: unknown): void {
    const failure = `${event} ${error instanceof Error ? error.message : ''}`
    const isNew = !this.#logged.has(failure) && this.#logged.size < MOST_LOGGED
    if (isNew) this.#logged.add(failure)
    this.#logger[isNew ? 'error' : 'debug']('A listener threw', { event, error })
  }

  clear(): void {
    this.#listeners.clear()
  }
}
