import { mapEngine } from '../../engines/list/addresses.ts'
import type { Engine, EngineAddress } from '../../model/engine.ts'
import type { Stream } from '../../model/stream.ts'
import type { OrchestratorApi } from '../../orchestrator/api.ts'
import type { Clock } from '../../runtime/clock.ts'
import { ignoreRejection } from '../../runtime/maybe-promise.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import { Slices } from '../../runtime/slices.ts'
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

/** How many streams are compared in one slice. */
const SLICE = 2_000
/** A correction takes as long as the comparison of so many streams. */
const CORRECTION = 40

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
   * Compares once, in slices: between two of them streams may start and end. Resolves when each correction is delivered, given up or stalled.
   *
   * @param lifetime ends the comparison
   * @throws the error of a failed request, or of the host's `mapEngine`; the reason of `lifetime`
   */
  async reconcile(lifetime: AbortSignal): Promise<ReconcileReport> {
    const { observer, live, sequence, outbox } = this.#parts
    this.#wasCutShort = false
    // A stream that starts while the lists are read may be in neither of them. The next reconciliation includes it.
    const candidates = live.list.filter(isAnnounced)
    const observation = await observer.readAll(sequence.current)
    const slices = new Slices(SLICE, lifetime)
    await slices.count(observation.streams.live.size)
    const listedAs = candidates.map((stream) => (isAnnounced(stream) ? observation.streams.live.get(stream.id) : undefined))
    const liveCount = listedAs.reduce((count, listed) => (listed === undefined ? count : count + 1), 0)
    const stillListed = await this.#listedThoughEnded(observation, liveCount)
    const report: Record<Verdict, string[]> = { confirmed: [], reannounced: [], moved: [], lost: [], endedAgain: [], unsettled: [] }
    const corrections: Promise<void>[] = []
    const begin = (correction: Promise<void>): void => {
      // It may reject before all corrections are awaited.
      ignoreRejection(correction)
      corrections.push(correction)
    }
    const engines = new Map(observation.engines.list.map((engine) => [engine.containerId, engine]))
    for (const [index, stream] of candidates.entries()) {
      if (!isAnnounced(stream)) continue // changed since the lists were requested
      let listed = listedAs[index]
      // Its id may have changed between two slices.
      if (listed?.id !== stream.id) listed = observation.streams.live.get(stream.id)
      const verdict = this.#compare(stream, listed?.containerId, observation, engines)
      if (verdict === 'reannounced' && !outbox.hasRoom) {
        this.#wasCutShort = true
        continue
      }
      report[verdict].push(stream.id)
      const correction = this.#correct(stream, verdict, listed, engines)
      if (correction !== undefined) begin(correction)
      const nextSlice = slices.count(correction === undefined ? 1 : CORRECTION)
      if (nextSlice !== undefined) await nextSlice
    }
    for (const listed of stillListed) {
      if (!outbox.hasRoom) {
        this.#wasCutShort = true
        break
      }
      if (!this.#mayNeedEnd(listed, observation.sequence)) continue // changed since the lists were requested
      report.endedAgain.push(listed.id)
      begin(this.#parts.ender.endAgain(listed))
      const nextSlice = slices.count(CORRECTION)
      if (nextSlice !== undefined) await nextSlice
    }
    await Promise.all(corrections)
    return report
  }

  /** @param listedOn the engine on which the stream is listed; `undefined`: it is not listed */
  #compare(stream: TrackedStream, listedOn: string | undefined, observation: Observation, engines: ReadonlyMap<string, Engine>): Verdict {
    const { streams } = observation
    const own = stream.engine.containerId
    if (own === undefined) return listedOn === undefined ? 'unsettled' : 'moved'
    const isEngineListed = engines.has(own)
    stream.engineListed(isEngineListed, { isPushed: false })
    // Its own engine is listed, and the stream is not on another listed engine: it belongs on its own engine.
    if (isEngineListed && (listedOn === own || listedOn === undefined || !engines.has(listedOn))) {
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

  /**
   * Begins to correct a difference. Returns `undefined` if there is none.
   *
   * @param listed the stream as it is listed
   */
  #correct(
    stream: TrackedStream,
    verdict: Verdict,
    listed: Stream | undefined,
    engines: ReadonlyMap<string, Engine>,
  ): Promise<void> | undefined {
    const { registry, ender } = this.#parts
    if (verdict === 'confirmed')
      return listed !== undefined && stream.phase === 'unconfirmed' ? registry.confirm(stream, listed) : undefined
    if (verdict === 'lost') return Promise.resolve(ender.markLost(stream))
    const engine = engines.get((verdict === 'moved' ? listed?.containerId : stream.engine.containerId) ?? '')
    if (engine === undefined) return undefined
    if (verdict === 'moved') return this.#follow(stream, engine)
    if (verdict !== 'reannounced') return undefined
    stream.addressListed(engine)
    return registry.reannounce(stream)
  }

  async #follow(stream: TrackedStream, engine: Engine): Promise<void> {
    const { registry, mapEngine: map } = this.#parts
    const { host, port } = mapEngine(engine, map)
    await registry.markMoved(stream, engine, { host, port, containerId: engine.containerId })
  }

  /**
   * Streams that were ended and are listed, although the list was requested after the end was acknowledged.
   *
   * @param liveCount number of listed streams that are live here
   */
  async #listedThoughEnded({ streams, sequence }: Observation, liveCount: number): Promise<readonly Stream[]> {
    const { endedLedger } = this.#parts
    const candidates: Stream[] = []
    if (liveCount < streams.live.size) {
      for (const stream of streams.live.values()) if (this.#mayNeedEnd(stream, sequence)) candidates.push(stream)
    }
    await endedLedger.settleUnlisted(streams, sequence)
    const ended = await endedLedger.endedAmong(candidates)
    return this.#withoutForeignEnds(ended.filter((stream) => this.#mayNeedEnd(stream, sequence)))
  }

  /** Whether a listed stream is not live here, and no end of it is under way or was acknowledged after the list was requested. */
  #mayNeedEnd({ id }: Stream, sequence: number): boolean {
    const { live, endedLedger } = this.#parts
    if (live.has(id) || endedLedger.statusOf(id) === 'ending') return false
    return !endedLedger.isOver(id, sequence) || endedLedger.isUnapplied(id)
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

/** Whether the orchestrator should list a stream by now: its start was sent, and is not being sent again. */
function isAnnounced({ phase }: TrackedStream): boolean {
  return phase === 'live' || phase === 'unconfirmed'
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
