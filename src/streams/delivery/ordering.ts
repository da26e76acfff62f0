import { normalizeKey } from '../../model/content.ts'
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

/** The engine of a stream, and its content. */
export interface StreamPlace {
  /** The id of the engine, if it is known. */
  readonly containerId: string | undefined
  /** The address at which the host reaches the engine. */
  readonly engine: HostEngine
  /** The key of the content. */
  readonly key: string
}

/** An end that is queued or being sent, or is queued as soon as a playback is closed; and the engine that its stream leaves. */
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
  /** See {@link EventOrder.endsBefore}. */
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
 * 3. A start is sent after the ends of the same content that were in progress then, on any engine, unless the orchestrator is v1. The
 *    orchestrator of 2026-04 ends all streams of a content at once (H6), so such an end would end the new stream.
 *
 * An event that waits for a stalled event is stalled too.
 */
export class EventOrder {
  readonly #queue = new KeyedQueue()
  /** By stream id. */
  readonly #queued = new Map<string, Set<OutboxEvent>>()
  /** By container id and by address: the id of an engine that a host named by its address is not known until a list shows it. */
  readonly #endsByEngine = new Map<string, Set<EndInProgress>>()
  /** By the normalized key of the content: the orchestrator of 2026-04 does not compare key types. */
  readonly #endsByKey = new Map<string, Set<EndInProgress>>()
  /** Ends that are queued later. A start that waits for one of them is stalled: no viewer waits until a playback is closed. */
  readonly #expected = new Set<OutboxEvent>()

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
   * Runs `send` after all earlier events of the same stream id, and after the earlier ends that it waits for. If the start is stalled and
   * its stream is over meanwhile, it stops waiting for these ends: `send` finds out that no start is needed.
   */
  runStart<T>(start: OutboxEvent, { prepared, earlierEnds, stream }: StartOrder, send: () => Promise<T>): Promise<T> {
    start.follow(earlierEnds.map(({ outboxEvent }) => outboxEvent))
    if (earlierEnds.some(({ outboxEvent }) => this.#expected.has(outboxEvent))) start.stallEarly()
    return this.run(start, async () => {
      await prepared
      if (earlierEnds.length === 0) return send()
      const allEnded = Promise.all(earlierEnds.map(({ ended }) => ended))
      await Promise.race([allEnded, start.stalled.then(() => waitUnlessAborted(allEnded, stream.over))]).catch(() => {})
      return send()
    })
  }

  /**
   * Runs `send` after all earlier events of the same stream id. Later starts on the same engine, or of the same content, wait for it. `send`
   * must not reject.
   */
  runEnd<T>(end: OutboxEvent, place: StreamPlace, send: () => Promise<T>): Promise<T> {
    this.#expected.delete(end)
    const result = this.run(end, send)
    const endInProgress = { outboxEvent: end, ended: result, containerId: place.containerId }
    for (const engineKey of keysOf(place)) hold(this.#endsByEngine, engineKey, endInProgress)
    hold(this.#endsByKey, normalizeKey(place.key), endInProgress)
    return result
  }

  /**
   * Makes later starts of a content wait for an end that is queued later, because the playback of its stream is closed first. Starts on its
   * engine need not wait: the stream has its slot meanwhile.
   *
   * @param ended resolves when the end is over; must not reject
   */
  expectEnd(end: OutboxEvent, key: string, ended: Promise<unknown>): void {
    this.#expected.add(end)
    void ended.then(() => this.#expected.delete(end))
    hold(this.#endsByKey, normalizeKey(key), { outboxEvent: end, ended, containerId: undefined })
  }

  /**
   * The ends that are in progress now and that a start at this place waits for. Later ends are not waited for, so no two events wait for each
   * other.
   *
   * @param endsWholeContent whether an end may end all streams of its content (H6): then ends of the same content on other engines count too
   */
  endsBefore(place: StreamPlace, { endsWholeContent }: { endsWholeContent: boolean }): readonly EndInProgress[] {
    if (this.#endsByEngine.size === 0 && this.#endsByKey.size === 0) return []
    const found = keysOf(place).flatMap((engineKey) => [...(this.#endsByEngine.get(engineKey) ?? [])])
    // Another engine may have had the address before.
    const isOther = ({ containerId }: EndInProgress): boolean =>
      containerId !== undefined && place.containerId !== undefined && containerId !== place.containerId
    const ofContent = endsWholeContent ? (this.#endsByKey.get(normalizeKey(place.key)) ?? []) : []
    return [...new Set([...found.filter((end) => !isOther(end)), ...ofContent])]
  }
}

/** Keeps an end under this key until it is over. */
function hold(endsByKey: Map<string, Set<EndInProgress>>, key: string, end: EndInProgress): void {
  const ends = endsByKey.get(key) ?? new Set()
  endsByKey.set(key, ends.add(end))
  void end.ended.then(() => {
    ends.delete(end)
    if (ends.size === 0 && endsByKey.get(key) === ends) endsByKey.delete(key)
  })
}

/** JSON, so that no container id equals an address. */
function keysOf({ containerId, engine }: StreamPlace): string[] {
  const address = JSON.stringify([engine.host, engine.port])
  return containerId === undefined ? [address] : [address, JSON.stringify(containerId)]
}
