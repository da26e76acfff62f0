import type { OrchestratorError } from '../errors.ts'
import type { OrchestratorHealth } from '../model/health.ts'
import type { EndOutcome } from '../model/stream.ts'
import type { Logger } from '../runtime/logger.ts'
import { isPromiseLike, toPromise } from '../runtime/maybe-promise.ts'
import { type DiagnosticsChannel, diagnosticsChannel } from '../runtime/platform.ts'
import { expectFunction, expectKnownName, type NamesOf } from '../runtime/validate.ts'
import { Operations } from './operations.ts'

/** The events of the client, with the object that each passes to its listeners. Times are milliseconds. */
export interface ClientEvents {
  /** A new engine list arrived. `durationMs` is 0 for a pushed list. */
  'engines:refreshed': { engineCount: number; durationMs: number }
  /** A caller got a lease after `waitedMs`. Not for the fallback engine. */
  'engine:acquired': { leaseId: string; containerId: string; waitedMs: number }
  /**
   * A call of `acquireEngine()` failed after `waitedMs`, or an acquire of `openStream()` or `joinStream()`. `error` is what it threw: the reason
   * of the signal, if the caller aborted.
   */
  'engine:refused': { waitedMs: number; error: unknown }
  /** A slot was released: of a lease (`leaseId`) or of a stream (`streamId`). */
  'engine:released': { containerId: string; leaseId?: string; streamId?: string }
  /** An engine failed too often. It gets no new stream for `ejectedMs`, unless more than half of all engines would be left out. */
  'engine:ejected': { containerId: string; failures: number; ejectedMs: number; cause?: unknown }
  /** A lease was neither used nor released in time. Its slot is free again. */
  'lease:expired': { leaseId: string; containerId: string }
  /** A caller has to wait. `waiting` is the length of the queue with this caller. */
  'capacity:waiting': { waiting: number }
  /** The client requests a new engine. `waiting` callers would use it now. */
  'provision:requested': { waiting: number }
  /** The requested engine is listed, `durationMs` after the request. */
  'provision:completed': { containerId: string; durationMs: number }
  /** The request for an engine failed, or the engine was not listed in time. */
  'provision:refused': { error: OrchestratorError }
  /** The orchestrator acknowledged a start, `durationMs` after the host's call. */
  'stream:started': { streamId: string; containerId: string; durationMs: number }
  /** A stream is over, and its end was delivered or given up: see `outcome`. `reason` is the one that the host passed. */
  'stream:ended': { streamId: string; outcome: EndOutcome; reason?: string }
  /** A stream was ended again. Nothing was sent. */
  'stream:duplicate-end': { streamId: string }
  /** The orchestrator had forgotten a live stream, and has accepted it again. */
  'stream:reannounced': { streamId: string; containerId: string }
  /** The engine of a live stream is gone. */
  'stream:lost': { streamId: string; containerId: string }
  /** A viewer joined a shared stream. `viewerCount` counts this viewer too. */
  'viewer:joined': { streamId: string; viewerCount: number }
  /** A viewer left a shared stream. `viewerCount` counts the viewers that are left. */
  'viewer:left': { streamId: string; viewerCount: number }
  /** A start or an end was not delivered, and is sent again after `delayMs`. */
  'delivery:retry': { streamId: string; event: 'started' | 'ended'; attempt: number; delayMs: number; error: OrchestratorError }
  /** A start or an end was given up or refused, or its answer named another stream. */
  'delivery:failed': { streamId: string; event: 'started' | 'ended'; error: OrchestratorError }
  /** The status, the key's state, the VPN or the provisioning advice changed. */
  'health:changed': { previous: OrchestratorHealth; current: OrchestratorHealth }
  /** The orchestrator keeps failing. Nothing is sent for `retryAfterMs`. */
  'circuit:opened': { retryAfterMs: number }
  /** The orchestrator answers again, after `openMs`. */
  'circuit:closed': { openMs: number }
  /**
   * An attempt at a request is over; for the event stream: its answer has begun. `route` has no ids, and `url` no query and no secrets. `status` is
   * missing if no answer came, and `error` if the request succeeded. `attempt` counts the attempts of one call from 1.
   */
  'request:finished': {
    route: string
    method: string
    url: string
    status?: number
    durationMs: number
    attempt: number
    error?: unknown
  }
}

/** The name of an event. */
export type ClientEventName = keyof ClientEvents

/** A listener of one event. An error that it throws, or with which its promise rejects, is logged and has no other effect. */
export type ClientEventListener<Name extends ClientEventName> = (event: ClientEvents[Name]) => void

const EVENTS: NamesOf<ClientEvents> = {
  'engines:refreshed': true,
  'engine:acquired': true,
  'engine:refused': true,
  'engine:released': true,
  'engine:ejected': true,
  'lease:expired': true,
  'capacity:waiting': true,
  'provision:requested': true,
  'provision:completed': true,
  'provision:refused': true,
  'stream:started': true,
  'stream:ended': true,
  'stream:duplicate-end': true,
  'stream:reannounced': true,
  'stream:lost': true,
  'viewer:joined': true,
  'viewer:left': true,
  'delivery:retry': true,
  'delivery:failed': true,
  'health:changed': true,
  'circuit:opened': true,
  'circuit:closed': true,
  'request:finished': true,
}

/** The names of all events. */
export const CLIENT_EVENT_NAMES: readonly string[] = Object.keys(EVENTS)

/**
 * Checks the arguments of `client.on`. Returns the listener.
 *
 * @throws {@link InvalidArgumentError} with the name of the argument that is wrong
 */
export function expectListener<Listener>(event: ClientEventName, listener: Listener): Listener {
  expectKnownName('event', event, CLIENT_EVENT_NAMES)
  return expectFunction('listener', listener)
}

/** Errors of listeners that are logged as `error`; further errors are logged as `debug`. Messages that differ each time must not fill the log. */
const MAX_LOGGED = 100

type AnyListener = (event: never) => void

/** One for all clients: with the events of `client.on`, for the subscribers of `diagnostics_channel`. */
const channels = new Map<ClientEventName, DiagnosticsChannel>()

function channelOf(name: ClientEventName): DiagnosticsChannel {
  let channel = channels.get(name)
  if (channel === undefined) {
    channel = diagnosticsChannel(`acestream-orchestrator-client:${name}`)
    channels.set(name, channel)
  }
  return channel
}

/**
 * Calls listeners of typed events, then the subscribers of the `diagnostics_channel` of the event. Unlike the `EventEmitter` of Node it runs on every
 * platform, and a listener that throws stops neither the other listeners nor the code that emits.
 */
export class Emitter {
  readonly #listeners = new Map<ClientEventName, Set<AnyListener>>()
  /** The listener of each wrapper that `once` made, so that `off` finds it. */
  readonly #originals = new WeakMap<AnyListener, AnyListener>()
  readonly #logger: Logger
  readonly #logged = new Set<string>()
  #isCleared = false
  /** The operations of the client that emits the events. */
  readonly operations: Operations = new Operations()

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

  /** Whether an event of this name has a listener or a subscriber. */
  has(name: ClientEventName): boolean {
    return this.#listeners.has(name) || (channelOf(name).hasSubscribers && !this.#isCleared)
  }

  /** Returns {@link emit} of this event if it has a listener. Otherwise `to(name)?.(event)` does not even make the event. */
  to<Name extends ClientEventName>(name: Name): ((event: ClientEvents[Name]) => void) | undefined {
    return this.has(name) ? (event) => this.emit(name, event) : undefined
  }

  /** Calls the listeners in the order in which they were added, then the subscribers. */
  emit<Name extends ClientEventName>(name: Name, event: ClientEvents[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])] as ClientEventListener<Name>[]) {
      try {
        const result: unknown = listener(event)
        if (isPromiseLike(result)) toPromise(result).catch((error: unknown) => this.#warn(name, error))
      } catch (error) {
        this.#warn(name, error)
      }
    }
    const channel = channelOf(name)
    if (channel.hasSubscribers && !this.#isCleared) channel.publish(event)
  }

  /** Logs each event and message once as `error`, then as `debug`: a listener that throws does so for each viewer. */
  #warn(event: ClientEventName, error: unknown): void {
    const failure = `${event} ${error instanceof Error ? error.message : ''}`
    const isNew = !this.#logged.has(failure) && this.#logged.size < MAX_LOGGED
    if (isNew) this.#logged.add(failure)
    this.#logger[isNew ? 'error' : 'debug']('A listener threw', { event, error })
  }

  /** Removes all listeners, and publishes no further event. */
  clear(): void {
    this.#isCleared = true
    this.#listeners.clear()
  }
}
