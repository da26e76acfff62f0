import type { AppliedEvent } from './applied-log.ts'
import { AppliedLog } from './applied-log.ts'
import { type FakeCounters, newCounters } from './counters.ts'
import type { EngineEntry } from './engine-entry.ts'
import { LoadBook } from './load-book.ts'
import type { Micros } from './stamps.ts'
import type { StreamEntry, StreamInit } from './stream-entry.ts'

/** What made a stream start or end. */
export interface Cause {
  by: AppliedEvent['by']
  /** The id that a request named, if one did; empty where it named none. */
  requestedId?: string
}

/** As many ended streams as 2025-10 goes on listing here; the original keeps all. */
const ENDED_KEPT = 10_000

/** What the orchestrator knows: engines, streams, and who is on what. It has no opinions; those are the generations'. */
export class Book {
  readonly engines: Map<string, EngineEntry> = new Map()
  /** As listed, in the order of the orchestrator's dictionary. */
  readonly streams: Map<string, StreamEntry> = new Map()
  /** Those of them that have not ended, in the order they started. */
  readonly live: Map<string, StreamEntry> = new Map()
  readonly log: AppliedLog = new AppliedLog()
  readonly #liveByKey = new Map<string, Set<StreamEntry>>()
  readonly #ended = new Set<string>()
  readonly #loads = new LoadBook()
  #counters: FakeCounters = newCounters()
  #places = 0

  /** Counts, to be raised in place. */
  get counters(): FakeCounters {
    return this.#counters
  }

  /** Counts from zero again; peaks begin with the present load. */
  resetCounters(): void {
    this.#counters = newCounters()
    this.#loads.notePeaks(this.#counters)
  }

  /** The first engine at this address. */
  engineAt(host: string, port: number): EngineEntry | undefined {
    for (const engine of this.engines.values()) if (engine.host === host && engine.port === port) return engine
    return undefined
  }

  /** Enters a stream, over one of the same id if need be: that is what all generations do (hazard 5). */
  start(init: StreamInit, containerName: string | null, cause: Cause): StreamEntry {
    const known = this.streams.get(init.id)
    const repeated = known !== undefined && this.live.has(known.id)
    if (repeated) this.#leave(known)
    const place = known?.place ?? ++this.#places
    const entry: StreamEntry = { ...init, containerName, endedAt: null, status: init.status ?? 'started', place }
    this.#ended.delete(entry.id)
    this.streams.set(entry.id, entry)
    this.#join(entry)
    if (cause.by === 'request') {
      this.#counters.startsApplied++
      if (repeated) this.#counters.repeatedStarts++
    }
    this.#note('started', entry, entry.startedAt, cause)
    return entry
  }

  /** Ends a live stream. `keep`: it stays listed as ended. */
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

  /** Puts a live stream on another engine, in its old place. */
  move(entry: StreamEntry, engine: EngineEntry): void {
    this.#leave(entry)
    entry.containerId = engine.containerId
    entry.containerName = engine.containerName
    this.#join(entry)
  }

  /** The live stream that stands last in the dictionary, of one engine or of all: the victim of hazard 1. */
  lastLive(containerId?: string): StreamEntry | undefined {
    const candidates = containerId === undefined ? this.live : this.engines.get(containerId)?.live
    let last: StreamEntry | undefined
    for (const entry of candidates?.values() ?? []) if (last === undefined || entry.place > last.place) last = entry
    return last
  }

  /** The other live streams of the same content. */
  namesakes(entry: StreamEntry): StreamEntry[] {
    return [...(this.#liveByKey.get(entry.key) ?? [])].filter((other) => other !== entry)
  }

  /** Takes an engine that joined the books later into account. */
  addEngine(engine: EngineEntry): void {
    this.engines.set(engine.containerId, engine)
    for (const entry of this.live.values()) if (entry.containerId === engine.containerId) engine.live.set(entry.id, entry)
  }

  /** Forgets all streams and engines, as a restart does (hazard 9). */
  forget(): void {
    for (const map of [this.engines, this.streams, this.live, this.#liveByKey, this.#ended]) map.clear()
    this.#loads.clear()
  }

  #join(entry: StreamEntry): void {
    this.live.set(entry.id, entry)
    this.engines.get(entry.containerId)?.live.set(entry.id, entry)
    const namesakes = this.#liveByKey.get(entry.key)
    if (namesakes === undefined) this.#liveByKey.set(entry.key, new Set([entry]))
    else namesakes.add(entry)
    this.#loads.add(entry, this.#counters)
  }

  #leave(entry: StreamEntry): void {
    this.live.delete(entry.id)
    this.engines.get(entry.containerId)?.live.delete(entry.id)
    const namesakes = this.#liveByKey.get(entry.key)
    namesakes?.delete(entry)
    if (namesakes?.size === 0) this.#liveByKey.delete(entry.key)
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
