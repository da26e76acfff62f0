import type { Engine } from '../../model/engine.ts'
import { randomId } from '../../runtime/random.ts'
import type { ProvisionBody } from './provision-request.ts'
import { ProvisionedEngines, type ProvisionParts } from './provision-request.ts'
import { untilListed } from './until-listed.ts'

/** Marks the engine of each request: the orchestrator lists the labels it was asked for, so that a lost answer does not lose the engine. */
const REQUEST_LABEL = 'orchestrator-client.request'

/**
 * New engines of orchestrators whose answer names the engine (2025-10). Several requests may be out at once. Each ends when its engine is
 * listed, by the answer's name or by the request's label, whichever is known first: an answer that is lost holds up nobody.
 */
export class ProvisionNamed {
  readonly #parts: ProvisionParts
  readonly #sightings: ProvisionedEngines
  /** Engines that a request was answered with, so that another one whose answer was lost does not take them for its own. */
  readonly #claimed = new Set<string>()

  constructor(parts: ProvisionParts) {
    this.#parts = parts
    this.#sightings = new ProvisionedEngines(parts.engineList)
  }

  /** Asks, and waits until the engine is listed. */
  async request(body: ProvisionBody): Promise<Engine> {
    const token = randomId()
    const before = this.#listedIds()
    const labels = { ...body.labels, [REQUEST_LABEL]: token }
    try {
      const engine = await this.#sightings.request(
        this.#parts,
        { ...body, labels },
        {
          isMeant: (listed) => listed.labels[REQUEST_LABEL] === token,
          afterAnswer: ({ containerId }, parts) => {
            if (containerId !== undefined) {
              this.#claimed.add(containerId)
              return untilListed(parts, (listed) => listed.containerId === containerId)
            }
            // The answer was lost, the engine perhaps not. It is looked for before another is requested (hazard 4), by its label, or, should
            // the orchestrator list none, as one that was not there before.
            return untilListed(parts, (listed) => {
              const label = listed.labels[REQUEST_LABEL]
              if (label !== undefined) return label === token
              return before?.has(listed.containerId) === false && !this.#claimed.has(listed.containerId)
            })
          },
        },
      )
      this.#claimed.add(engine.containerId)
      return engine
    } finally {
      if (this.#sightings.size === 0) this.#claimed.clear()
    }
  }

  #listedIds(): ReadonlySet<string> | undefined {
    const { last } = this.#parts.engineList
    return last === undefined ? undefined : new Set(last.engines.map((engine) => engine.containerId))
  }
}
