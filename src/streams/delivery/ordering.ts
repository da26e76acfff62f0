import { normalizeKey } from '../../model/content.ts'
import type { HostEngine } from '../../model/stream.ts'
import { waitUnlessAborted } from '../../runtime/abort.ts'
import type { MaybePromise } from '../../runtime/maybe-promise.ts'
import type { OutboxEvent } from './outbox.ts'

/** Runs tasks one after the other for each key, and in parallel across keys. */
export class KeyedQueue {
  readonly #tails = new Map<string, Promise<void>>()

  /** Runs `task` when every task queued earlier for `key` has settled; synchronously, if there is none. */
  run<T>(key: string, task: () => Promise<T>): Promise<T>
  run<T>(key: string, task: () => MaybePromise<T>): MaybePromise<T>
  run<T>(key: string, task: () => MaybePromise<T>): MaybePromise<T> {
    const before = this.#tails.get(key) // never rejects
    const result = before === undefined ? task() : before.then(task)
    if (!(result instanceof Promise)) return result
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

/** The events of one stream id that are queued or being sent. */
interface Line {
  readonly events: OutboxEvent[]
  /** Resolves when the last event is over. Never rejects. */
  tail: Promise<void> | undefined
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
  /** `undefined`, or resolves, when the stream has its slot. If it rejects, the start is not sent. */
  readonly prepared: MaybePromise<void>
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
  /** By stream id. */
  readonly #lines = new Map<string, Line>()
  /** By container id and by address: the id of an engine that a host named by its address is not known until a list shows it. */
  readonly #endsByEngine = new Map<string, EndInProgress[]>()
  /** By the normalized key of the content: the orchestrator of 2026-04 does not compare key types. */
  readonly #endsByKey = new Map<string, EndInProgress[]>()
  /** Ends that are queued later. A start that waits for one of them is stalled: no viewer waits until a playback is closed. */
  readonly #expected = new Set<OutboxEvent>()

  /** Runs `send` after all earlier events of the same stream id. */
  run<T>(outboxEvent: OutboxEvent, send: () => Promise<T>): Promise<T> {
    const { streamId } = outboxEvent
    const line: Line = this.#lines.get(streamId) ?? { events: [], tail: undefined }
    outboxEvent.follow(line.events)
    line.events.push(outboxEvent)
    this.#lines.set(streamId, line)
    const result = line.tail === undefined ? send() : line.tail.then(send)
    const leave = (): void => {
      remove(line.events, outboxEvent)
      if (line.events.length === 0) this.#lines.delete(streamId)
    }
    line.tail = result.then(leave, leave)
    return result
  }

  /**
   * Runs `send` after all earlier events of the same stream id, and after the earlier ends that it waits for. If the start is stalled and
   * its stream is over meanwhile, it stops waiting for these ends: `send` finds out that no start is needed.
   */
  runStart<T>(start: OutboxEvent, { prepared, earlierEnds, stream }: StartOrder, send: () => Promise<T>): Promise<T> {
    if (earlierEnds.length === 0) return this.run(start, prepared instanceof Promise ? () => prepared.then(send) : send)
    start.follow(earlierEnds.map(({ outboxEvent }) => outboxEvent))
    if (earlierEnds.some(({ outboxEvent }) => this.#expected.has(outboxEvent))) start.stallEarly()
    return this.run(start, async () => {
      await prepared
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
    if (this.#expected.size > 0) this.#expected.delete(end)
    const result = this.run(end, send)
    const endInProgress = { outboxEvent: end, ended: result, containerId: place.containerId }
    const engineKeys = keysOf(place)
    const key = normalizeKey(place.key)
    for (const engineKey of engineKeys) hold(this.#endsByEngine, engineKey, endInProgress)
    hold(this.#endsByKey, key, endInProgress)
    void result.then(() => {
      for (const engineKey of engineKeys) release(this.#endsByEngine, engineKey, endInProgress)
      release(this.#endsByKey, key, endInProgress)
    })
    return result
  }

  /**
   * Makes later starts of a content wait for an end that is queued later, because the playback of its stream is closed first. Starts on its
   * engine need not wait: the stream has its slot meanwhile.
   *
   * @param ended resolves when the end is over; must not reject
   */
  expectEnd(end: OutboxEvent, key: string, ended: Promise<unknown>): void {
    const endInProgress = { outboxEvent: end, ended, containerId: undefined }
    const normalizedKey = normalizeKey(key)
    this.#expected.add(end)
    hold(this.#endsByKey, normalizedKey, endInProgress)
    void ended.then(() => {
      this.#expected.delete(end)
      release(this.#endsByKey, normalizedKey, endInProgress)
    })
  }

  /**
   * The ends that are in progress now and that a start at this place waits for. Later ends are not waited for, so no two events wait for each
   * other.
   *
   * @param endsWholeContent whether an end may end all streams of its content (H6): then ends of the same content on other engines count too
   */
  endsBefore(place: StreamPlace, { endsWholeContent }: { endsWholeContent: boolean }): readonly EndInProgress[] {
    if (this.#endsByEngine.size === 0 && this.#endsByKey.size === 0) return []
    const found = new Set<EndInProgress>()
    for (const engineKey of keysOf(place)) {
      for (const end of this.#endsByEngine.get(engineKey) ?? []) {
        // Another engine may have had the address before.
        const isOther = end.containerId !== undefined && place.containerId !== undefined && end.containerId !== place.containerId
        if (!isOther) found.add(end)
      }
    }
    if (endsWholeContent) for (const end of this.#endsByKey.get(normalizeKey(place.key)) ?? []) found.add(end)
    return [...found]
  }
}

/** Keeps an end under this key. */
function hold(endsByKey: Map<string, EndInProgress[]>, key: string, end: EndInProgress): void {
  const ends = endsByKey.get(key)
  if (ends === undefined) endsByKey.set(key, [end])
  else ends.push(end)
}

/** Forgets an end that is over. */
function release(endsByKey: Map<string, EndInProgress[]>, key: string, end: EndInProgress): void {
  const ends = endsByKey.get(key) ?? []
  remove(ends, end)
  if (ends.length === 0) endsByKey.delete(key)
}

/** Removes an item from a list in which the oldest item comes first, and mostly leaves first. */
function remove<T>(list: T[], item: T): void {
  const index = list.indexOf(item)
  if (index !== -1) list.splice(index, 1)
}

/** JSON, so that no container id equals an address. */
function keysOf({ containerId, engine }: StreamPlace): string[] {
  const address = JSON.stringify([engine.host, engine.port])
  return containerId === undefined ? [address] : [address, JSON.stringify(containerId)]
}
