import { Chains } from './ordering.ts'
import type { Underway } from './outbox.ts'

/** The events of each stream id, sent one after the other. An event that waits behind a stalled one is stalled too. */
export class EventQueue {
  readonly #chains = new Chains()
  readonly #queued = new Map<string, Set<Underway>>()

  /** Runs `task`, which sends the event, when everything queued for this id before has settled. */
  async run<T>(streamId: string, underway: Underway, task: () => Promise<T>): Promise<T> {
    const queued = this.#queued.get(streamId) ?? new Set()
    underway.follow(queued)
    this.#queued.set(streamId, queued.add(underway))
    try {
      return await this.#chains.run(streamId, task)
    } finally {
      queued.delete(underway)
      if (queued.size === 0) this.#queued.delete(streamId)
    }
  }

  /** The ends of this id that are queued or being sent. */
  endsOf(streamId: string): readonly Underway[] {
    return [...(this.#queued.get(streamId) ?? [])].filter(({ event }) => event === 'ended')
  }
}
