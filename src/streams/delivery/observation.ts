import type { EngineList } from '../../engines/list/engine-list.ts'
import type { EngineSnapshot } from '../../engines/list/snapshot.ts'
import type { Engine } from '../../model/engine.ts'
import type { Stream } from '../../model/stream.ts'
import type { OrchestratorApi } from '../../orchestrator/api.ts'
import { mayListEngine, mayListStream, type Unreadable } from '../../orchestrator/unreadable-entries.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Sequence } from '../../runtime/sequence.ts'

/** The streams of one list that are live. */
export class ObservedStreams {
  /** By stream id. */
  readonly live: ReadonlyMap<string, Stream>
  readonly #unreadable: Unreadable

  /** @param live by id */
  constructor(live: ReadonlyMap<string, Stream>, unreadable: Unreadable['streams'] = []) {
    this.live = live
    this.#unreadable = { engines: [], streams: unreadable }
  }

  /** Whether a stream that is not in {@link live} may be an entry of the list that could not be read. */
  mayHide(streamId: string, containerId: string | undefined): boolean {
    return mayListStream(this.#unreadable, streamId, containerId)
  }
}

/** The live streams of a list, by id. The list may hold streams that are over, and viewers of the orchestrator's own proxy that wait for an engine. */
function liveById(listed: readonly Stream[]): ReadonlyMap<string, Stream> {
  const live = new Map<string, Stream>()
  for (const stream of listed) if (stream.status === 'started') live.set(stream.id, stream)
  return live
}

/** The engines of one list. */
export class ObservedEngines {
  readonly list: readonly Engine[]
  readonly #unreadable: Unreadable | undefined

  constructor({ engines, unreadable }: Pick<EngineSnapshot, 'engines' | 'unreadable'>) {
    this.list = engines
    this.#unreadable = unreadable
  }

  /** Whether an engine that is not in the list may be an entry that could not be read. */
  mayHide(containerId: string): 'yes' | 'perhaps' | 'no' {
    return mayListEngine(this.#unreadable, containerId)
  }
}

/** The orchestrator's engines and live streams. */
export interface Observation {
  readonly engines: ObservedEngines
  readonly streams: ObservedStreams
  /** Both lists were requested after this sequence number. */
  readonly sequence: number
}

/** Dependencies of {@link Observer}. */
export interface ObserverParts {
  api: OrchestratorApi
  engineList: EngineList
  sequence: Sequence
  clock: Clock
  /** Aborts with the client. */
  lifetime: AbortSignal
}

/** One request of the stream list. */
interface StreamRead {
  readonly sequence: number
  readonly requestedAt: number
  readonly streams: Promise<ObservedStreams>
}

/** A list that was requested longer ago is not used again, even if its number is high enough: the orchestrator may have been restarted since. */
const MAX_AGE_MS = 1_000

/**
 * Reads the orchestrator's lists to verify the outcome of events, and to reconcile. Callers share a list that is recent enough for them: one
 * request verifies a thousand events with lost answers.
 *
 * A list proves something about an event only if it was requested after the event was sent. So each method takes a `sequence` number, and
 * uses lists that were requested later. Each method rejects if the list cannot be read.
 */
export class Observer {
  readonly #parts: ObserverParts
  #lastRead: StreamRead | undefined

  constructor(parts: ObserverParts) {
    this.#parts = parts
  }

  /** The live streams. */
  readStreams(sequence: number): Promise<ObservedStreams> {
    const read = this.#lastRead
    const isUsable = read !== undefined && read.sequence > sequence && this.#parts.clock.now() - read.requestedAt <= MAX_AGE_MS
    return isUsable ? read.streams : this.#requestStreams()
  }

  /** The engines. */
  async readEngines(sequence: number): Promise<ObservedEngines> {
    return new ObservedEngines(await this.#parts.engineList.get({ newerThan: this.#newerThan(sequence) }))
  }

  /** The engines and the live streams. The engines of v1 do not name their streams, so there a refresh of the engine list reads both. */
  async readAll(sequence: number): Promise<Observation> {
    const { engineList } = this.#parts
    const listing = engineList.get({ newerThan: this.#newerThan(sequence) })
    const separate = engineList.last?.streams === undefined ? this.readStreams(sequence) : undefined
    const [snapshot, listed] = await Promise.all([listing, separate])
    const both = snapshot.streams && new ObservedStreams(liveById(snapshot.streams), snapshot.unreadable?.streams)
    return { engines: new ObservedEngines(snapshot), streams: listed ?? both ?? (await this.readStreams(sequence)), sequence }
  }

  /** The number that an engine list must exceed: `sequence`, or the number of the last list if that list is too old. */
  #newerThan(sequence: number): number {
    const { engineList, clock } = this.#parts
    const { last } = engineList
    const isTooOld = last !== undefined && clock.now() - last.receivedAt > MAX_AGE_MS
    return isTooOld ? Math.max(sequence, last.sequence) : sequence
  }

  #requestStreams(): Promise<ObservedStreams> {
    const { api, sequence, clock, lifetime } = this.#parts
    const number = sequence.next()
    const list = api.streamList({ status: 'started' }, { signal: lifetime })
    const streams = list.then((listed) => new ObservedStreams(listed.byId, listed.unreadable))
    const read: StreamRead = { sequence: number, requestedAt: clock.now(), streams }
    this.#lastRead = read
    streams.catch(() => {
      // Later callers request a new list.
      if (this.#lastRead === read) this.#lastRead = undefined
    })
    return streams
  }
}
