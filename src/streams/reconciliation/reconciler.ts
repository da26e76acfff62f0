import { mapEngine } from '../../engines/list/addresses.ts'
import type { Engine, EngineAddress } from '../../model/engine.ts'
import type { Stream } from '../../model/stream.ts'
import type { OrchestratorApi } from '../../orchestrator/api.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import type { Observation, Observer } from '../delivery/observation.ts'
import type { Outbox } from '../delivery/outbox.ts'
import type { EndedLedger } from '../ended-ledger.ts'
import type { Ender } from '../ender.ts'
import type { LiveStreams } from '../live-streams.ts'
import type { StreamRegistry } from '../registry.ts'
import type { TrackedStream } from '../tracked-stream.ts'

/** Dependencies and options of {@link Reconciler}. */
export interface ReconcilerParts {
  api: OrchestratorApi
  observer: Observer
  registry: StreamRegistry
  ender: Ender
  live: LiveStreams
  endedLedger: EndedLedger
  outbox: Outbox
  sequence: Sequence
  clock: Clock
  mapEngine: ((engine: Engine) => EngineAddress) | undefined
}

/**
 * How long engines may be missing before they count as gone. An orchestrator whose container runtime or VPN is down lists no engines, or not
 * all, and later the same ones again; their streams play on.
 */
const MISSING_GRACE_MS = 120_000

/** How long a stream that another process has ended may stay listed before it is ended again. An end is in flight for less than this. */
const FOREIGN_END_MS = 10_000

type Verdict = keyof ReconcileReport

/**
 * Compares the live and the ended streams of this process with the orchestrator's lists, and corrects differences: it announces a stream
 * again, ends it again, follows a moved stream, or gives up a lost stream.
 */
export class Reconciler {
  readonly #parts: ReconcilerParts
  /** For each live stream about which the lists prove nothing: since when, milliseconds. */
  readonly #unsettledSince = new WeakMap<TrackedStream, number>()
  /** Streams that other processes ended and that are still listed, by id, each with the time at which that was noticed first. */
  #listedSince: ReadonlyMap<string, number> = new Map()
  #wasCutShort = false

  constructor(parts: ReconcilerParts) {
    this.#parts = parts
  }

  /** Whether the last reconciliation left corrections to the next one, because the outbox was full. */
  get wasCutShort(): boolean {
    return this.#wasCutShort
  }

  /** Whether there is anything to compare. */
  get isNeeded(): boolean {
    const { live, endedLedger } = this.#parts
    return live.size > 0 || endedLedger.mayRemember
  }

  /**
   * Compares once. Resolves when each correction is delivered, given up or stalled.
   *
   * @throws the error of a failed request, or of the host's `mapEngine`
   */
  async reconcile(): Promise<ReconcileReport> {
    const { observer, live, sequence, outbox } = this.#parts
    this.#wasCutShort = false
    // A stream that starts while the lists are read may be in neither of them. The next reconciliation includes it.
    const candidates = live.list.filter((stream) => stream.shouldBeListed && stream.phase !== 'starting')
    const observation = await observer.readAll(sequence.current)
    const stillListed = await this.#listedThoughEnded(observation)
    const report: Record<Verdict, string[]> = { confirmed: [], reannounced: [], moved: [], lost: [], endedAgain: [], unsettled: [] }
    // Await all corrections together: if they were awaited in turn, an early rejection of a later one would be unhandled.
    const corrections: Promise<void>[] = []
    const engines = new Map(observation.engines.list.map((engine) => [engine.containerId, engine]))
    for (const stream of candidates) {
      if (!stream.shouldBeListed || stream.phase === 'starting') continue // changed while the lists were read
      const verdict = this.#compare(stream, observation, engines)
      if (verdict === 'reannounced' && !outbox.hasRoom) {
        this.#wasCutShort = true
        continue
      }
      report[verdict].push(stream.id)
      corrections.push(this.#correct(stream, verdict, observation, engines))
    }
    for (const listed of stillListed) {
      if (!outbox.hasRoom) {
        this.#wasCutShort = true
        break
      }
      report.endedAgain.push(listed.id)
      corrections.push(this.#parts.ender.endAgain(listed))
    }
    await Promise.all(corrections)
    return report
  }

  #compare(stream: TrackedStream, observation: Observation, engines: ReadonlyMap<string, Engine>): Verdict {
    const { streams } = observation
    const listedOn = streams.live.get(stream.id)?.containerId
    const own = stream.engine.containerId
    if (own === undefined) return listedOn === undefined ? 'unsettled' : 'moved'
    stream.engineListed(engines.has(own), { isPushed: false })
    // Its own engine is listed, and the stream is not on another listed engine: it belongs on its own engine.
    if (engines.has(own) && (listedOn === own || listedOn === undefined || !engines.has(listedOn))) {
      // An entry that cannot be read may be this stream, and a repeated start resets or moves the stream (H5).
      if (listedOn === undefined && streams.mayHide(stream.id, own) && !this.#isGraceOver(stream)) return 'unsettled'
      this.#unsettledSince.delete(stream)
      return listedOn === own ? 'confirmed' : 'reannounced'
    }
    if (listedOn !== undefined && engines.has(listedOn)) {
      this.#unsettledSince.delete(stream)
      return 'moved'
    }
    return this.#isGone(stream, listedOn, observation) ? 'lost' : 'unsettled'
  }

  /** Whether the engine of a stream, which is not listed, is gone for good. v1 lists the stream for ever then (H10). */
  #isGone(stream: TrackedStream, listedOn: string | undefined, { engines }: Observation): boolean {
    const { api } = this.#parts
    const hidden = [stream.engine.containerId, listedOn].map((id) => (id === undefined ? 'no' : engines.mayHide(id)))
    if (hidden.includes('yes')) {
      this.#unsettledSince.delete(stream)
      return false
    }
    const isProven = engines.list.length > 0 && !hidden.includes('perhaps')
    if (isProven && (listedOn === undefined || api.dialect === 'v1')) return true
    return this.#isGraceOver(stream)
  }

  #isGraceOver(stream: TrackedStream): boolean {
    const { clock } = this.#parts
    const now = clock.now()
    const since = this.#unsettledSince.get(stream) ?? now
    this.#unsettledSince.set(stream, since)
    return now - since >= MISSING_GRACE_MS
  }

  async #correct(stream: TrackedStream, verdict: Verdict, { streams }: Observation, engines: ReadonlyMap<string, Engine>): Promise<void> {
    const { registry, ender, mapEngine: map } = this.#parts
    if (verdict === 'lost') return ender.markLost(stream)
    const listed = streams.live.get(stream.id)
    const engine = engines.get((verdict === 'moved' ? listed?.containerId : stream.engine.containerId) ?? '')
    if (engine === undefined) return
    if (verdict === 'moved') {
      const { host, port } = mapEngine(engine, map)
      return registry.markMoved(stream, engine, { host, port, containerId: engine.containerId })
    }
    if (verdict === 'confirmed' && listed !== undefined) return registry.confirm(stream, listed)
    if (verdict !== 'reannounced') return
    stream.addressListed(engine)
    await registry.reannounce(stream)
  }

  /** Streams that were ended and are listed, although the list was requested after the end was acknowledged. */
  async #listedThoughEnded({ streams, sequence }: Observation): Promise<readonly Stream[]> {
    const { live, endedLedger } = this.#parts
    const isOver = (streamId: string): boolean => endedLedger.isOver(streamId, sequence) && !endedLedger.isUnapplied(streamId)
    const isHandled = ({ id }: Stream): boolean => live.has(id) || endedLedger.statusOf(id) === 'ending'
    const candidates = [...streams.live.values()].filter((stream) => !isHandled(stream) && !isOver(stream.id))
    await endedLedger.settleUnlisted(streams, sequence)
    const ended = await endedLedger.endedAmong(candidates)
    return this.#withoutForeignEnds(ended.filter((stream) => !isHandled(stream)))
  }

  /** Leaves out the streams that another process ended just now: its end may be in flight. */
  #withoutForeignEnds(streams: readonly Stream[]): readonly Stream[] {
    const { endedLedger, clock } = this.#parts
    const now = clock.now()
    const known = this.#listedSince
    this.#listedSince = new Map(streams.filter(({ id }) => !endedLedger.isOwn(id)).map(({ id }) => [id, known.get(id) ?? now]))
    return streams.filter(({ id }) => now - (this.#listedSince.get(id) ?? Number.NEGATIVE_INFINITY) >= FOREIGN_END_MS)
  }
}

/** Result of a reconciliation: the ids of the compared streams, by the result and its correction. */
export interface ReconcileReport {
  /** Live, and listed on their engine. */
  readonly confirmed: readonly string[]
  /** Live and not listed, but their engine is listed. They were announced again. */
  readonly reannounced: readonly string[]
  /** Live, and listed on another engine. Their handles show that engine now. */
  readonly moved: readonly string[]
  /** Live until now, but their engine is gone. They are over. */
  readonly lost: readonly string[]
  /** Ended, but still listed. They were ended again. */
  readonly endedAgain: readonly string[]
  /** Live, but the lists prove nothing yet: they show no engine at all, or the stream on an engine that is not listed. */
  readonly unsettled: readonly string[]
}
