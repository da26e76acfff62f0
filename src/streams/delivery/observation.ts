import type { EngineList } from '../../engines/list/engine-list.ts'
import type { EngineSnapshot } from '../../engines/list/snapshot.ts'
import type { Engine } from '../../model/engine.ts'
import type { Stream } from '../../model/stream.ts'
import type { OrchestratorApi } from '../../orchestrator/api.ts'
import { mayListEngine, mayListStream, type Unreadable } from '../../orchestrator/unreadable-entries.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Sequence } from '../../runtime/sequence.ts'

/** The streams that were live there. */
export class ObservedStreams {
  readonly live: ReadonlyMap<string, Stream>
  readonly #unreadable: Unreadable

  /** A list may hold ended streams too, and the orchestrator's own viewers that wait for an engine. */
  constructor(listed: readonly Stream[], unreadable: Unreadable['streams'] = []) {
    this.live = new Map(listed.filter(({ status }) => status === 'started').map((stream) => [stream.id, stream]))
    this.#unreadable = { engines: [], streams: unreadable }
  }

  /** Whether an entry that could not be read may be this stream, which is not among the live ones. */
  mayHide(streamId: string, containerId: string | undefined): boolean {
    return mayListStream(this.#unreadable, streamId, containerId)
  }
}

/** The engines that were listed. */
export class ObservedEngines {
  readonly list: readonly Engine[]
  readonly #unreadable: Unreadable | undefined

  constructor({ engines, unreadable }: Pick<EngineSnapshot, 'engines' | 'unreadable'>) {
    this.list = engines
    this.#unreadable = unreadable
  }

  /** Whether an engine that is not in the list is listed all the same, by an entry that could not be read. */
  mayHide(containerId: string): 'yes' | 'perhaps' | 'no' {
    return mayListEngine(this.#unreadable, containerId)
  }
}

/** What the orchestrator showed. */
export interface Observation {
  readonly engines: ObservedEngines
  readonly streams: ObservedStreams
  /** Both were requested after this number. */
  readonly sequence: number
}

/** What a survey is built from. */
export interface ObserverParts {
  api: OrchestratorApi
  engineList: EngineList
  sequence: Sequence
  clock: Clock
  /** Aborts with the client. */
  lifetime: AbortSignal
}

interface Look {
  readonly sequence: number
  readonly requestedAt: number
  readonly streams: Promise<ObservedStreams>
}

/** A look that is older than this is not used again, whoever could: the orchestrator may have been restarted since. */
const REUSE_MS = 1_000

/**
 * Looks at what the orchestrator shows, for those who must know what became of something they sent. However many want to look, one look at
 * a time; a thousand lost answers are cleared up by one.
 */
export class Observer {
  readonly #parts: ObserverParts
  #look: Look | undefined

  constructor(parts: ObserverParts) {
    this.#parts = parts
  }

  /** The live streams, asked for after `sequence`. */
  streams(sequence: number): Promise<ObservedStreams> {
    const look = this.#look
    const serves = look !== undefined && look.sequence > sequence && this.#parts.clock.now() - look.requestedAt <= REUSE_MS
    return serves ? look.streams : this.#start().streams
  }

  /** The engines, asked for after `sequence`. */
  async engines(sequence: number): Promise<ObservedEngines> {
    return new ObservedEngines(await this.#parts.engineList.get({ newerThan: this.#recent(sequence) }))
  }

  /** Both. On v1, whose engines do not name their streams, a refresh of the engine list holds them already. */
  async all(sequence: number): Promise<Observation> {
    const { engineList } = this.#parts
    const listing = engineList.get({ newerThan: this.#recent(sequence) })
    const separate = engineList.last?.streams === undefined ? this.streams(sequence) : undefined
    const [snapshot, listed] = await Promise.all([listing, separate])
    const both = snapshot.streams === undefined ? undefined : new ObservedStreams(snapshot.streams, snapshot.unreadable?.streams)
    return { engines: new ObservedEngines(snapshot), streams: listed ?? both ?? (await this.streams(sequence)), sequence }
  }

  /** A number after which a list that serves `sequence` was requested, and not too long ago either. */
  #recent(sequence: number): number {
    const { engineList, clock } = this.#parts
    const isOld = engineList.last !== undefined && clock.now() - engineList.last.receivedAt > REUSE_MS
    return isOld ? Math.max(sequence, engineList.last?.sequence ?? 0) : sequence
  }

  #start(): Look {
    const { api, sequence, clock, lifetime } = this.#parts
    const number = sequence.next()
    const list = api.streamList({ status: 'started' }, { signal: lifetime })
    const streams = list.then((listed) => new ObservedStreams(listed.streams, listed.unreadable))
    const look: Look = { sequence: number, requestedAt: clock.now(), streams }
    this.#look = look
    streams.catch(() => {
      if (this.#look === look) this.#look = undefined // a failure is no answer to anybody who comes later
    })
    return look
  }
}
