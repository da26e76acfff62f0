import type { Directory } from '../engines/directory.ts'
import type { OrchestratorApi } from '../orchestrator/api.ts'
import type { Engine, Stream } from '../orchestrator/domain.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Sequence } from '../state/sequence.ts'

/** What the orchestrator showed. */
export interface Sight {
  readonly engines: readonly Engine[]
  /** Streams that are live there, by id. */
  readonly streams: ReadonlyMap<string, Stream>
  /** Both were requested after this number. */
  readonly sequence: number
}

/** What a survey is built from. */
export interface SurveyParts {
  api: OrchestratorApi
  directory: Directory
  sequence: Sequence
  clock: Clock
  /** Aborts with the client. */
  lifetime: AbortSignal
}

interface Look {
  readonly sequence: number
  readonly requestedAt: number
  readonly streams: Promise<ReadonlyMap<string, Stream>>
}

/** A look that is older than this is not used again, whoever could: the orchestrator may have been restarted since. */
const REUSE_MS = 1_000

/**
 * Looks at what the orchestrator shows, for those who must know what became of something they sent. However many want to look, one look at
 * a time; a thousand lost answers are cleared up by one.
 */
export class Survey {
  readonly #parts: SurveyParts
  #look: Look | undefined

  constructor(parts: SurveyParts) {
    this.#parts = parts
  }

  /** The live streams, asked for after `sequence`. */
  streams(sequence: number): Promise<ReadonlyMap<string, Stream>> {
    const look = this.#look
    const serves = look !== undefined && look.sequence > sequence && this.#parts.clock.now() - look.requestedAt <= REUSE_MS
    return serves ? look.streams : this.#start().streams
  }

  /** The engines, asked for after `sequence`. */
  async engines(sequence: number): Promise<readonly Engine[]> {
    const { engines } = await this.#parts.directory.get({ newerThan: this.#recent(sequence) })
    return engines
  }

  /** Both. On v1, whose engines do not name their streams, a refresh of the engine list holds them already. */
  async all(sequence: number): Promise<Sight> {
    const { directory } = this.#parts
    const engineList = directory.get({ newerThan: this.#recent(sequence) })
    const separate = directory.last?.streams === undefined ? this.streams(sequence) : undefined
    const [snapshot, listed] = await Promise.all([engineList, separate])
    const streams = listed ?? (snapshot.streams === undefined ? await this.streams(sequence) : byId(snapshot.streams))
    return { engines: snapshot.engines, streams, sequence }
  }

  /** A number after which a list that serves `sequence` was requested, and not too long ago either. */
  #recent(sequence: number): number {
    const { directory, clock } = this.#parts
    const isOld = directory.last !== undefined && clock.now() - directory.last.receivedAt > REUSE_MS
    return isOld ? Math.max(sequence, directory.last?.sequence ?? 0) : sequence
  }

  #start(): Look {
    const { api, sequence, clock, lifetime } = this.#parts
    const number = sequence.next()
    const streams = api.listStreams({ status: 'started' }, { signal: lifetime }).then(byId)
    const look: Look = { sequence: number, requestedAt: clock.now(), streams }
    this.#look = look
    streams.catch(() => {
      if (this.#look === look) this.#look = undefined // a failure is no answer to anybody who comes later
    })
    return look
  }
}

/** Of what the orchestrator lists, what is live: it may list ended streams too, and its own viewers' that wait for an engine. */
function byId(streams: readonly Stream[]): ReadonlyMap<string, Stream> {
  return new Map(streams.filter(({ status }) => status === 'started').map((stream) => [stream.id, stream]))
}
