import type { Engine } from '../../model/domain.ts'
import type { Directory } from '../list/engine-list.ts'
import { askForEngine, type ProvisionBody, type ProvisionCallParts } from './provision-request.ts'
import type { NewEngineParts, untilListed } from './until-listed.ts'

/** What asking for a new engine takes. */
export type ProvisionParts = NewEngineParts & ProvisionCallParts

/** Somebody who looks out for an engine. */
interface Lookout {
  isMeant(engine: Engine): boolean
  found(engine: Engine): void
}

/** Which engine a request is for, and how to wait for it once the request has come to an end. */
export interface Wanted {
  /** Whether this engine can be no other, though nobody has answered yet. */
  isMeant(engine: Engine): boolean
  /** Waits for it by whatever the answer told. `failure`: nobody knows what became of the request. */
  afterAnswer(answer: { containerId?: string; failure?: unknown }, parts: ProvisionParts): ReturnType<typeof untilListed>
}

/** Requests for engines, each over when its engine is listed, whoever asked for that list and whatever became of the answer. */
export class Sightings {
  readonly #lookouts = new Set<Lookout>()

  constructor(directory: Directory) {
    directory.onRefresh(({ engines }) => {
      for (const { isMeant, found } of this.#lookouts) {
        const engine = engines.find(isMeant)
        if (engine !== undefined) found(engine)
      }
    })
  }

  /** Requests whose engine is not listed yet. */
  get size(): number {
    return this.#lookouts.size
  }

  /** Asks once, and waits until the engine is listed. */
  async request(parts: ProvisionParts, body: ProvisionBody, { isMeant, afterAnswer }: Wanted): Promise<Engine> {
    const { lifetime } = parts
    lifetime.throwIfAborted()
    const { promise: listed, resolve: found } = Promise.withResolvers<Engine>()
    const lookout: Lookout = { isMeant, found }
    const over = new AbortController()
    const leave = (): void => over.abort(lifetime.reason)
    lifetime.addEventListener('abort', leave, { once: true })
    this.#lookouts.add(lookout)
    const answered = async (): Promise<Engine> => {
      const answer = await askForEngine(parts, body, over.signal)
      return afterAnswer(answer, { ...parts, lifetime: over.signal })
    }
    try {
      return await Promise.race([listed, answered()])
    } finally {
      this.#lookouts.delete(lookout)
      lifetime.removeEventListener('abort', leave)
      // Its engine is there: what the request still has to say is of no interest, and a lost answer would hold a connection.
      over.abort()
    }
  }
}
