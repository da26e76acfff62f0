import type { HostEngine } from '../../model/stream.ts'
import { waitUnlessAborted } from '../../runtime/abort.ts'
import type { OutboxEvent } from './outbox.ts'

/** Runs tasks one after the other for each key, and in parallel across keys. */
export class KeyedQueue {
  readonly #tails = new Map<string, Promise<void>>()

  /** Runs `task` when every task queued earlier for `key` has settled; synchronously, if there is none. */
  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) // never rejects
    const result = before === undefined ? task() : before.then(task)
    const settle = (): void => {
      // Only the last task removes the entry: otherwise the next one would not wait for the tasks that are still queued.
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    }
    const tail: Promise<void> = result.then(settle, settle)
    this.#tails.set(key, tail)
    return result
  }
}

/** An engine: its id, if it is known, and the address at which the host reaches it. */
export interface EngineIdentity {
  readonly containerId: string | undefined
  readonly engine: HostEngine
}

/** An end that is queued or being sent, and the engine that its stream leaves. */
interface EndInProgress {
  readonly outboxEvent: OutboxEvent
  /** Resolves when the end is delivered or given up. Never rejects. */
  readonly ended: Promise<unknown>
  /** `undefined`: not known when the end was queued. */
  readonly containerId: string | undefined
}

/** The conditions that a start waits for before it is sent. */
export interface StartOrder {
  /** Resolves when the stream has its slot. If it rejects, the start is not sent. */
  readonly prepared: Promise<void>
  /** See {@link EventOrder.endsOn}. */
  readonly earlierEnds: readonly EndInProgress[]
  readonly stream: {
    /** Aborts when the stream is over in this client. */
    readonly over: AbortSignal
  }
}

/**
 * The order in which events are sent:
 *
 * 1. The events of one stream id are sent one after the other. An end never overtakes its start (H2), and a start that reuses an id is sent
 *    after the end of the earlier stream.
 * 2. A start is sent after the ends that were in progress on its engine when the start was requested. A slot may be free before the
 *    orchestrator has applied the end that freed it: always with the default store, and with a shared store if that end is stalled or takes
 *    longer than a second. Without this order the orchestrator, and every proxy that reads its list, would see the engine above its limit.
 *
 * An event that waits for a stalled event is stalled too.
 */
export class EventOrder {
  readonly #queue = new KeyedQueue()
  /** By stream id. */
  readonly #queued = new Map<string, Set<OutboxEvent>>()
  /** By container id and by address: the id of an engine that a host named by its address is not known until a list shows it. */
  readonly #endsByEngine = new Map<string, Set<EndInProgress>>()

  /** Runs `send` after all earlier events of the same stream id. */
  async run<T>(outboxEvent: OutboxEvent, send: () => Promise<T>): Promise<T> {
    const { streamId } = outboxEvent
    const queued = this.#queued.get(streamId) ?? new Set()
    outboxEvent.follow(queued)
    this.#queued.set(streamId, queued.add(outboxEvent))
    try {
      return await this.#queue.run(streamId, send)
    } finally {
      queued.delete(outboxEvent)
      if (queued.size === 0) this.#queued.delete(streamId)
    }
  }

  /**
   * Runs `send` after all earlier events of the same stream id, and after the ends on the engine of the start. If the start is stalled and
   * its stream is over meanwhile, it stops waiting for these ends: `send` finds out that no start is needed.
   */
  runStart<T>(start: OutboxEvent, { prepared, earlierEnds, stream }: StartOrder, send: () => Promise<T>): Promise<T> {
    start.follow(earlierEnds.map(({ outboxEvent }) => outboxEvent))
    const allEnded = Promise.all(earlierEnds.map(({ ended }) => ended))
    return this.run(start, async () => {
      await prepared
      await Promise.race([allEnded, start.stalled.then(() => waitUnlessAborted(allEnded, stream.over))]).catch(() => {})
      return send()
    })
  }

  /** Runs `send` after all earlier events of the same stream id. Later starts on `place` wait for it. `send` must not reject. */
  runEnd<T>(end: OutboxEvent, place: EngineIdentity, send: () => Promise<T>): Promise<T> {
    const result = this.run(end, send)
    const endInProgress = { outboxEvent: end, ended: result, containerId: place.containerId }
    const keys = keysOf(place)
    for (const key of keys) this.#endsByEngine.set(key, (this.#endsByEngine.get(key) ?? new Set()).add(endInProgress))
    void result.then(() => {
      for (const key of keys) this.#remove(key, endInProgress)
    })
    return result
  }

  /** The ends that are in progress on an engine now. Later ends are not waited for, so no two events wait for each other. */
  endsOn(place: EngineIdentity): readonly EndInProgress[] {
    const found = keysOf(place).flatMap((key) => [...(this.#endsByEngine.get(key) ?? [])])
    // Another engine may have had the address before.
    const isOther = ({ containerId }: EndInProgress): boolean =>
      containerId !== undefined && place.containerId !== undefined && containerId !== place.containerId
    return [...new Set(found)].filter((end) => !isOther(end))
  }

  #remove(key: string, end: EndInProgress): void {
    const ends = this.#endsByEngine.get(key)
    ends?.delete(end)
    if (ends?.size === 0) this.#endsByEngine.delete(key)
  }
}

/** JSON, so that no container id equals an address. */
function keysOf({ containerId, engine }: EngineIdentity): string[] {
  const address = JSON.stringify([engine.host, engine.port])
  return containerId === undefined ? [address] : [address, JSON.stringify(containerId)]
}
