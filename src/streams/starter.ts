import type { Directory } from '../engines/directory.ts'
import type { HeldLease } from '../engines/held-lease.ts'
import { mapEngine } from '../engines/mapped-engine.ts'
import type { Engine, EngineAddress } from '../orchestrator/domain.ts'
import type { StateStore } from '../state/store.ts'
import { expectAddress, expectText } from '../validate.ts'
import type { PrepareStart, StreamRegistry } from './registry.ts'
import { toStartEvent } from './start-event.ts'
import type { HostEngine, StreamHandle, StreamStart } from './stream.ts'

/** What the starter is built from. */
export interface StarterParts {
  registry: StreamRegistry
  directory: Directory
  store: StateStore
  mapEngine: ((engine: Engine) => EngineAddress) | undefined
}

/**
 * Starts streams, with or without a lease. What goes to the orchestrator is the address it listed: any other would overwrite the
 * engine's, for every proxy (hazard 7).
 */
export class Starter {
  readonly #parts: StarterParts

  constructor(parts: StarterParts) {
    this.#parts = parts
  }

  async onLease(start: StreamStart, lease: HeldLease, promote: PrepareStart, signal: AbortSignal | undefined): Promise<StreamHandle> {
    const { containerId, host, port } = lease.listed
    const event = toStartEvent(start, { containerId, address: { host, port } })
    const engine = Object.freeze({ host: lease.engine.host, port: lease.engine.port, containerId })
    return this.#parts.registry.start(event, engine, promote, signal)
  }

  /** The engine runs the stream already, whether or not there is room: it takes a slot without asking. */
  async onEngine(start: StreamStart & { engine: HostEngine }, signal: AbortSignal | undefined): Promise<StreamHandle> {
    const { registry, store } = this.#parts
    const engine = hostEngine(start.engine)
    const { host, port, containerId } = engine
    const event = toStartEvent(start, { containerId, address: { host, port } })
    const prepare: PrepareStart = async (stream) => {
      const listed = await this.#listed(engine)
      if (listed !== undefined) {
        stream.event = { ...event, containerId: listed.containerId, address: { host: listed.host, port: listed.port } }
        stream.engine = Object.freeze({ host, port, containerId: listed.containerId })
      }
      const { address } = stream.event
      await store.occupy(stream.event.containerId ?? `${address.host}:${address.port}`, stream.id)
    }
    return registry.start(event, Object.freeze(engine), prepare, signal)
  }

  async #listed(engine: HostEngine): Promise<Engine | undefined> {
    const { directory, mapEngine: map } = this.#parts
    // Without a mapping the host's address is the listed one; with one, only the list can tell.
    if (directory.last === undefined && map !== undefined) await directory.get({ patienceMs: 0 }).catch(() => undefined)
    const find = (): Engine | undefined =>
      engine.containerId === undefined
        ? directory.last?.engines.find((listed) => {
            const { host, port } = mapEngine(listed, map)
            return host === engine.host && port === engine.port
          })
        : directory.find(engine.containerId)
    const found = find()
    if (found !== undefined || map === undefined) return found
    await directory.get({ fresh: true, patienceMs: 0 }).catch(() => undefined)
    return find()
  }
}

function hostEngine(value: unknown): HostEngine {
  const address = expectAddress('engine', value)
  const { containerId } = value as { containerId?: unknown }
  return containerId === undefined ? address : { ...address, containerId: expectText('engine.containerId', containerId, 512) }
}
