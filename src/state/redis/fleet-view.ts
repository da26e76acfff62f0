/** What a script's answer says besides what was asked. */
export interface Answer {
  /** The server lost what it knew since we last heard of it, and did nothing. */
  readonly isLost: boolean
  /** We had been taken for dead. */
  readonly wasDead: boolean
  readonly body: unknown
}

/** What this member has seen of the fleet: enough to notice that the server lost its memory, and to say who must be heard before it counts. */
export class FleetView {
  #epoch = ''
  #sequence = 0
  #version = ''
  #peers: readonly string[] = []

  /** The members known, ourselves among them. */
  get peers(): readonly string[] {
    return this.#peers
  }

  /** As the scripts expect it. */
  get asArguments(): [epoch: string, sequence: string, version: string] {
    return [this.#epoch, String(this.#sequence), this.#version]
  }

  /** Reads the head of an answer, asked for while `asked` was what we knew. */
  read(answer: unknown, askedEpoch: string): Answer {
    const [epoch, sequence, version, wasAlive, isLost, peers, body] = answer as readonly unknown[]
    const lost = Number(isLost) === 1
    // What was lost is put back by a renewal, which must still be able to say what was known before.
    if (!lost) {
      const isSame = this.#epoch === String(epoch)
      // Answers of one epoch may be handled out of order; one of an epoch we have left changes nothing.
      if (isSame || this.#epoch === askedEpoch) {
        this.#sequence = isSame ? Math.max(this.#sequence, Number(sequence)) : Number(sequence)
        this.#epoch = String(epoch)
        this.#version = String(version)
        if (Array.isArray(peers)) this.#peers = peers.map(String)
      }
    }
    return { isLost: lost, wasDead: askedEpoch !== '' && Number(wasAlive) === 0, body }
  }
}
