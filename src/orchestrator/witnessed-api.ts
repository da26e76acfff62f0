import { OrchestratorApi } from './api.ts'
import type { StartAcknowledgement } from './bodies.ts'

/** Hears of every start that the orchestrator acknowledged, and when it was asked for. */
export interface StartWitness {
  /** A start is about to be sent. What is returned comes back with its acknowledgement. */
  asked(): number
  /** The orchestrator has applied the start that was `asked` for, at this time of its own clock, in nanoseconds. */
  acknowledged(asked: number, startedAtNs: bigint | undefined): void
}

/** The API, with a witness of its starts: their acknowledgements are what pushed lists can be ordered by. */
export class WitnessedApi extends OrchestratorApi {
  readonly #witness: StartWitness

  constructor(witness: StartWitness, ...parts: ConstructorParameters<typeof OrchestratorApi>) {
    super(...parts)
    this.#witness = witness
  }

  override async startStream(...call: Parameters<OrchestratorApi['startStream']>): Promise<StartAcknowledgement> {
    const asked = this.#witness.asked()
    const acknowledgement = await super.startStream(...call)
    this.#witness.acknowledged(asked, acknowledgement.startedAtNs)
    return acknowledgement
  }
}
