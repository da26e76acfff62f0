import type { Engine } from '../../model/engine.ts'
import { makeRandomId } from '../../runtime/random.ts'
import type { ProvisionBody, ProvisionParts } from './provision-request.ts'
import { requestEngine, untilListed } from './provision-request.ts'

/** The label with a random value that each request gives to its engine. The orchestrator lists the labels that it was sent. */
const REQUEST_LABEL = 'orchestrator-client.request'

/**
 * Requests engines from an orchestrator whose answer names the new engine (2025-10). Several requests may be under way at once. A request
 * finds its engine by the name in the answer or by the request's label, whichever comes first: a lost answer delays no caller.
 */
export class ProvisionNamed {
  readonly #parts: ProvisionParts
  /** Engines that belong to a request, so that a request whose answer was lost does not claim them too. */
  readonly #claimed = new Set<string>()
  #activeCount = 0

  constructor(parts: ProvisionParts) {
    this.#parts = parts
  }

  /** Sends the request and waits until the engine is listed. Throws as {@link requestEngine}. */
  async request(body: ProvisionBody): Promise<Engine> {
    const label = makeRandomId()
    const listedBefore = this.#listedIds()
    const hasLabel = (engine: Engine): boolean => engine.labels[REQUEST_LABEL] === label
    // If the orchestrator does not list labels, any new engine that belongs to no other request matches.
    const isUnclaimed = ({ containerId, labels }: Engine): boolean =>
      labels[REQUEST_LABEL] === undefined && listedBefore?.has(containerId) === false && !this.#claimed.has(containerId)
    this.#activeCount += 1
    try {
      const engine = await requestEngine(
        this.#parts,
        { ...body, labels: { ...body.labels, [REQUEST_LABEL]: label } },
        {
          isRequested: hasLabel,
          waitAfterAnswer: ({ containerId }, parts) => {
            // The answer was lost. Look for the engine before another is requested (H4).
            if (containerId === undefined) return untilListed(parts, (listed) => hasLabel(listed) || isUnclaimed(listed))
            this.#claimed.add(containerId)
            return untilListed(parts, (listed) => listed.containerId === containerId)
          },
        },
      )
      this.#claimed.add(engine.containerId)
      return engine
    } finally {
      this.#activeCount -= 1
      if (this.#activeCount === 0) this.#claimed.clear()
    }
  }

  /** `undefined`: no list was read yet, so any engine may have been there before. */
  #listedIds(): ReadonlySet<string> | undefined {
    const { last } = this.#parts.engineList
    return last === undefined ? undefined : new Set(last.engines.map((engine) => engine.containerId))
  }
}
