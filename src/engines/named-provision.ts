import type { Engine } from '../orchestrator/domain.ts'
import { randomId } from '../runtime/random.ts'
import { type NewEngineParts, untilListed } from './new-engine.ts'
import { askForEngine, type ProvisionBody, type ProvisionCallParts } from './provision-call.ts'
import type { EngineSnapshot } from './snapshot.ts'

/** Marks the engine of each request: the orchestrator lists the labels it was asked for, so that a lost answer does not lose the engine. */
export const REQUEST_LABEL = 'orchestrator-client.request'

/** A request whose engine has not been listed yet. */
interface Outstanding {
  readonly token: string
  found(engine: Engine): void
}

/**
 * New engines of orchestrators whose answer names the engine (2025-10). Several requests may be out at once. Each ends when its engine is
 * listed, by the answer's name or by the request's label, whichever is known first: an answer that is lost holds up nobody.
 */
export class NamedProvision {
  readonly #parts: NewEngineParts & ProvisionCallParts
  readonly #outstanding = new Set<Outstanding>()
  /** Engines that a request was answered with, so that another one whose answer was lost does not take them for its own. */
  readonly #claimed = new Set<string>()

  constructor(parts: NewEngineParts & ProvisionCallParts) {
    this.#parts = parts
    parts.directory.onRefresh((snapshot) => this.#look(snapshot))
  }

  /** Asks, and waits until the engine is listed. */
  async request(body: ProvisionBody): Promise<Engine> {
    const { lifetime } = this.#parts
    lifetime.throwIfAborted()
    const token = randomId()
    const before = this.#listedIds()
    const { promise: listed, resolve: found } = Promise.withResolvers<Engine>()
    const outstanding: Outstanding = { token, found }
    const over = new AbortController()
    const leave = (): void => over.abort(lifetime.reason)
    lifetime.addEventListener('abort', leave, { once: true })
    this.#outstanding.add(outstanding)
    try {
      const engine = await Promise.race([listed, this.#ask(body, token, before, over.signal)])
      this.#claimed.add(engine.containerId)
      return engine
    } finally {
      this.#outstanding.delete(outstanding)
      if (this.#outstanding.size === 0) this.#claimed.clear()
      lifetime.removeEventListener('abort', leave)
      // Its engine is there: what the request still has to say is of no interest, and a lost answer would hold a connection.
      over.abort()
    }
  }

  async #ask(body: ProvisionBody, token: string, before: ReadonlySet<string> | undefined, signal: AbortSignal): Promise<Engine> {
    const labels = { ...body.labels, [REQUEST_LABEL]: token }
    const { containerId } = await askForEngine(this.#parts, { ...body, labels }, signal)
    const parts = { ...this.#parts, lifetime: signal }
    if (containerId !== undefined) {
      this.#claimed.add(containerId)
      return untilListed(parts, (engine) => engine.containerId === containerId)
    }
    // The answer was lost, the engine perhaps not. It is looked for before another is requested (hazard 4), by its label, or, should the
    // orchestrator list none, as one that was not there before.
    return untilListed(parts, ({ containerId: id, labels: listed }) => {
      const label = listed[REQUEST_LABEL]
      if (label !== undefined) return label === token
      return before?.has(id) === false && !this.#claimed.has(id)
    })
  }

  #look({ engines }: EngineSnapshot): void {
    if (this.#outstanding.size === 0) return
    const byToken = new Map(engines.map((engine) => [engine.labels[REQUEST_LABEL], engine]))
    for (const { token, found } of this.#outstanding) {
      const engine = byToken.get(token)
      if (engine !== undefined) found(engine)
    }
  }

  #listedIds(): ReadonlySet<string> | undefined {
    const { last } = this.#parts.directory
    return last === undefined ? undefined : new Set(last.engines.map((engine) => engine.containerId))
  }
}
