import type { AppliedEvent } from './applied-log.ts'
import { AppliedLog } from './applied-log.ts'
import { type FakeCounters, newCounters } from './counters.ts'
import type { EngineEntry } from './engine-entry.ts'
import { LoadTracker } from './load-tracker.ts'
import type { Micros } from './stamps.ts'
import type { StreamEntry, StreamInit } from './stream-entry.ts'

/** The cause of a start or an end. */
export interface Cause {
  by: AppliedEvent['by']
  /** The id that the request named; empty if it named none, absent if there was no request. */
  requestedId?: string
}

/** Maximum number of ended streams that 2025-10 lists here. The real one lists all. */
const ENDED_KEPT = 10_000

/** Stores the orchestrator's engines and streams, and which stream is on which engine. The rules of the generations stand elsewhere. */
export class Records {
  readonly engines: Map<string, EngineEntry> = new Map()
  /** All listed streams, in the order of the orchestrator's dictionary. */
  readonly streams: Map<string, StreamEntry> = new Map()
  /** The listed streams that have not ended, in the order in which they started. */
  readonly live: Map<string, StreamEntry> = new Map()
  readonly log: AppliedLog = new AppliedLog()
  readonly #liveByKey = new Map<string, Set<StreamEntry>>()
  readonly #ended = new Set<string>()
  readonly #loads = new LoadTracker()
  #counters: FakeCounters = newCounters()
  #places = 0

  /** The counters. Callers increment them in place. */
  get counters(): FakeCounters {
    return this.#counters
  }

  /** Resets the counters to zero, and the peaks to the present load. */
  resetCounters(): void {
    this.#counters = newCounters()
    this.#loads.notePeaks(this.#counters)
  }

  /** Returns the first engine with this address. */
  engineAt(host: string, port: number): EngineEntry | undefined {
    for (const engine of this.engines.values()) if (engine.host === host && engine.port === port) return engine
    return undefined
  }

  /** Adds a stream. It replaces a stream of the same id, as in all generations (H5). */
  start(init: StreamInit, containerName: string | null, cause: Cause): StreamEntry {
    const known = this.streams.get(init.id)
    const isRepeated = known !== undefined && this.live.has(known.id)
    if (isRepeated) this.#leave(known)
    const place = known?.place ?? ++this.#places
    const entry: StreamEntry = { ...init, containerName, endedAt: null, status: init.status ?? 'started', place }
    this.#ended.delete(entry.id)
    this.streams.set(entry.id, entry)
    this.#join(entry)
    if (cause.by === 'request') {
      this.#counters.startsApplied++
      if (isRepeated) this.#counters.repeatedStarts++
    }
    this.#note('started', entry, entry.startedAt, cause)
    return entry
  }

  /** Ends a live stream. With `keep` it stays listed as ended. */
  end(entry: StreamEntry, at: Micros, cause: Cause, keep: boolean): void {
    this.#leave(entry)
    entry.endedAt = at
    entry.status = 'ended'
    if (keep) {
      this.#ended.add(entry.id)
      this.#forgetOldest()
    } else {
      this.streams.delete(entry.id)
    }
    this.#note('ended', entry, at, cause)
  }

  /** Moves a live stream to another engine. It keeps its position in the dictionary. */
  move(entry: StreamEntry, engine: EngineEntry): void {
    this.#leave(entry)
    entry.containerId = engine.containerId
    entry.containerName = engine.containerName
    this.#join(entry)
  }

  /** Returns the live stream that is last in the dictionary, of one engine or of all. A misapplied end hits it (H1). */
  lastLive(containerId?: string): StreamEntry | undefined {
    const candidates = containerId === undefined ? this.live : this.engines.get(containerId)?.live
    let last: StreamEntry | undefined
    for (const entry of candidates?.values() ?? []) if (last === undefined || entry.place > last.place) last = entry
    return last
  }

  /** Returns the other live streams of the same content. */
  sameContent(entry: StreamEntry): StreamEntry[] {
    return [...(this.#liveByKey.get(entry.key) ?? [])].filter((other) => other !== entry)
  }

  /** Adds an engine, and the live streams that already name it. */
  addEngine(engine: EngineEntry): void {
    this.engines.set(engine.containerId, engine)
    for (const entry of this.live.values()) if (entry.containerId === engine.containerId) engine.live.set(entry.id, entry)
  }

  /** Forgets all streams and engines, as a restart does (H9). */
  forget(): void {
    for (const map of [this.engines, this.streams, this.live, this.#liveByKey, this.#ended]) map.clear()
    this.#loads.clear()
  }

  #join(entry: StreamEntry): void {
    this.live.set(entry.id, entry)
    this.engines.get(entry.containerId)?.live.set(entry.id, entry)
    const streams = this.#liveByKey.get(entry.key)
    if (streams === undefined) this.#liveByKey.set(entry.key, new Set([entry]))
    else streams.add(entry)
    this.#loads.add(entry, this.#counters)
  }

  #leave(entry: StreamEntry): void {
    this.live.delete(entry.id)
    this.engines.get(entry.containerId)?.live.delete(entry.id)
    const streams = this.#liveByKey.get(entry.key)
    streams?.delete(entry)
    if (streams?.size === 0) this.#liveByKey.delete(entry.key)
    this.#loads.remove(entry)
  }

  #forgetOldest(): void {
    if (this.#ended.size <= ENDED_KEPT) return
    for (const id of this.#ended) {
      this.#ended.delete(id)
      this.streams.delete(id)
      return
    }
  }

  #note(kind: 'started' | 'ended', entry: StreamEntry, stamp: Micros, { by, requestedId }: Cause): void {
    const event = { at: Math.floor(stamp / 1000), kind, streamId: entry.id, containerId: entry.containerId, by }
    this.log.add(requestedId === undefined ? event : { ...event, requestedId })
  }
}
