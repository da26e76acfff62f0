import type { HeldLease } from '../engines/leases/engine-lease.ts'
import { hostInUrl, isSameAddress, mapEngine, toListedSession } from '../engines/list/addresses.ts'
import type { EngineList } from '../engines/list/engine-list.ts'
import { InvalidArgumentError } from '../errors.ts'
import type { Engine, EngineAddress } from '../model/engine.ts'
import type { HostEngine, ListedPlace, StartEvent, StreamHandle, StreamStart } from '../model/stream.ts'
import { toStartEvent } from '../options/stream-start.ts'
import type { OrchestratorApi } from '../orchestrator/api.ts'
import { mayListEngine } from '../orchestrator/unreadable-entries.ts'
import type { Clock } from '../runtime/clock.ts'
import type { MaybePromise } from '../runtime/maybe-promise.ts'
import { expectAddress, expectSpelling, expectText } from '../runtime/validate.ts'
import type { StateStore } from '../state/store.ts'
import type { PrepareStart, StartOptions, StreamRegistry } from './registry.ts'
import type { TrackedStream } from './tracked-stream.ts'

/** Finds an engine in a list. */
type FindEngine = (engines: readonly Engine[]) => Engine | undefined

/** Dependencies and options of {@link Starter}. */
export interface StarterParts {
  registry: StreamRegistry
  api: OrchestratorApi
  engineList: EngineList
  store: StateStore
  clock: Clock
  /** How long a start waits for an engine list. */
  startWaitMs: number
  mapEngine: ((engine: Engine) => EngineAddress) | undefined
}

/**
 * Starts streams, with or without a lease. A start carries the address of its engine as the orchestrator lists it: any other address would
 * overwrite the engine's, for every proxy (H7).
 */
export class Starter {
  readonly #parts: StarterParts

  constructor(parts: StarterParts) {
    this.#parts = parts
  }

  /**
   * Starts a stream on a leased engine. `promote` hands the slot of the lease to the stream.
   *
   * @throws {@link InvalidArgumentError} naming the field of `start` that is wrong
   */
  startOnLease(start: StreamStart, lease: HeldLease, promote: PrepareStart, options: StartOptions): Promise<TrackedStream> {
    const { containerId, host, port } = lease.listed
    const event = toStartEvent(start, { containerId, address: { host, port } })
    const engine = Object.freeze({ host: lease.engine.host, port: lease.engine.port, containerId })
    const session = toListedSession(event.session, [engine], lease.listed)
    return this.#parts.registry.start({ ...event, session }, engine, promote, { ...options, isPlaced: true })
  }

  /**
   * Starts a stream on an engine that the host names. The engine plays it already: the stream takes a slot even if the engine is full.
   *
   * @throws {@link InvalidArgumentError} naming the field of `start` that is wrong
   */
  startOnEngine(start: StreamStart & { engine: HostEngine }, signal: AbortSignal | undefined): Promise<StreamHandle> {
    const { registry, store } = this.#parts
    const engine = hostEngine(start.engine)
    const { host, port, containerId } = engine
    const { engine: _, ...rest } = start
    const event = toStartEvent(rest, { containerId, address: { host, port } })
    const prepare: PrepareStart = (stream) => {
      const find = this.#finder(engine)
      const place = (found: Engine): ListedPlace => {
        const address = { host: found.host, port: found.port }
        return { containerId: found.containerId, address, session: this.#listedSession(event, engine, found) }
      }
      const locate = (engines: readonly Engine[]): ListedPlace | undefined => {
        const found = foundBy(find, engines)
        return found && place(found)
      }
      if (containerId === undefined) stream.locateBy(locate, { mustBeLocated: false })
      const occupy = (listed: Engine | 'unread' | undefined): MaybePromise<void> => {
        if (listed === 'unread') {
          stream.locateBy(locate, { mustBeLocated: true })
        } else if (listed !== undefined) {
          stream.located(place(listed))
        }
        const { address } = stream.event
        return store.occupy(stream.event.containerId ?? `${hostInUrl(address.host)}:${address.port}`, stream.id)
      }
      const listed = this.#listed(engine, find)
      return listed instanceof Promise ? listed.then(occupy) : occupy(listed)
    }
    return registry.start(event, Object.freeze(engine), prepare, { signal })
  }

  /** Finds the engine that the host named by its container id, or by an address that `mapEngine` returns. */
  #finder(engine: HostEngine): FindEngine {
    const { mapEngine: map } = this.#parts
    const { containerId } = engine
    if (containerId !== undefined) return (engines) => engines.find((listed) => listed.containerId === containerId)
    return (engines) => engines.find((listed) => isSameAddress(mapEngine(listed, map), engine))
  }

  /** The session with the listed address in its URLs, in place of the address that the host gave or the mapped address. */
  #listedSession({ session }: StartEvent, engine: HostEngine, listed: Engine): StartEvent['session'] {
    return toListedSession(session, [engine, ...this.#mapped(engine, listed)], listed)
  }

  /** The mapped address, if it may differ from the address that the host gave. If `mapEngine` throws, the start is sent all the same. */
  #mapped({ containerId }: HostEngine, listed: Engine): EngineAddress[] {
    if (containerId === undefined) return []
    try {
      return [mapEngine(listed, this.#parts.mapEngine)]
    } catch {
      return []
    }
  }

  /**
   * The engine as it is listed. `undefined`: it is not listed, or its address is sent as the host gave it. `unread`: the start must not be
   * sent before a list shows the engine, and no list could be read.
   */
  #listed({ containerId, host }: HostEngine, find: FindEngine): MaybePromise<Engine | 'unread' | undefined> {
    const { engineList, api, mapEngine: map } = this.#parts
    const { last } = engineList
    // Without a mapping the host's address is the listed address. An IPv6 address may be listed with brackets or without.
    const isAsListed = map === undefined && !host.includes(':')
    // The Python generations find the engine by its address. v1 needs the container id.
    const isSentAsGiven = isAsListed && (containerId !== undefined || (last === undefined && api.dialect === 'unversioned'))
    const known = containerId === undefined ? undefined : find(last?.engines ?? [])
    return isSentAsGiven || known !== undefined ? known : this.#requestListed(containerId, find, isAsListed)
  }

  /** Finds the engine in a list that is requested now. */
  async #requestListed(containerId: string | undefined, find: FindEngine, isAsListed: boolean): Promise<Engine | 'unread' | undefined> {
    const { engineList, api, clock, startWaitMs } = this.#parts
    const { last } = engineList
    const deadline = new AbortController()
    const timer = clock.setTimeout(() => deadline.abort(), startWaitMs)
    const options = { signal: deadline.signal, patienceMs: 0 }
    try {
      // Not from an older list: the address may have belonged to another engine.
      const snapshot = await engineList.get(options).catch(() => undefined)
      const found = find(snapshot?.engines ?? [])
      if (found !== undefined) return found
      if (snapshot !== undefined && engineList.last === last) await engineList.get({ ...options, fresh: true }).catch(() => undefined)
    } finally {
      timer.cancel()
    }
    if (engineList.last !== last) return find(engineList.last?.engines ?? []) ?? (this.#isHidden(containerId) ? 'unread' : undefined)
    return isAsListed && api.dialect === 'unversioned' ? undefined : 'unread'
  }

  /** Whether an entry that could not be read may be this engine, so that its address is not known. */
  #isHidden(containerId: string | undefined): boolean {
    const { last } = this.#parts.engineList
    return containerId !== undefined && mayListEngine(last?.unreadable, containerId) !== 'no'
  }
}

/** @throws {@link InvalidArgumentError} with the error of the host's `mapEngine` as its cause */
function foundBy(find: FindEngine, engines: readonly Engine[]): Engine | undefined {
  try {
    return find(engines)
  } catch (cause) {
    throw cause instanceof InvalidArgumentError ? cause : new InvalidArgumentError('mapEngine', 'a function that does not throw', { cause })
  }
}

function hostEngine(value: unknown): HostEngine {
  const address = expectAddress('engine', value)
  // Hosts pass objects of their own, so other keys are allowed. But a misspelt `containerId` would go unnoticed.
  expectSpelling(value as Record<string, unknown>, 'containerId', 'engine.')
  const { containerId } = value as { containerId?: unknown }
  return containerId === undefined ? address : { ...address, containerId: expectText('engine.containerId', containerId, 512) }
}
