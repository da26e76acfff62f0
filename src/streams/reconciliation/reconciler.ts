import { mapEngine } from '../../engines/list/addresses.ts'
import type { Engine, EngineAddress } from '../../model/engine.ts'
import type { Stream } from '../../model/stream.ts'
import type { OrchestratorApi } from '../../orchestrator/api.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import type { Observation, Observer } from '../delivery/observation.ts'
import type { Outbox } from '../delivery/outbox.ts'
import type { EndedLedger } from '../ended-ledger.ts'
import type { LiveStreams } from '../live-streams.ts'
import type { StreamRegistry } from '../registry.ts'
import type { TrackedStream } from '../tracked-stream.ts'

/** What the reconciler is built from. */
export interface ReconcilerParts {
  api: OrchestratorApi
  observer: Observer
  registry: StreamRegistry
  live: LiveStreams
  endedLedger: EndedLedger
  outbox: Outbox
  sequence: Sequence
  clock: Clock
  mapEngine: ((engine: Engine) => EngineAddress) | undefined
}

/**
 * With its container runtime or its VPN down an orchestrator lists no engines, or not all, and later the same ones again, while their streams
 * go on. So long it may stay like that before they are taken for gone.
 */
const GRACE_MS = 120_000

/** How long a stream that another process has ended may stay listed before it is ended again: longer than an end is on its way. */
const SUSPICION_MS = 10_000

type Verdict = keyof ReconcileReport

/** Compares our live streams with the orchestrator's, and mends what differs. */
export class Reconciler {
  readonly #parts: ReconcilerParts
  /** Since when what the orchestrator shows of a live stream has proved nothing, milliseconds since the epoch. */
  readonly #unsettledSince = new WeakMap<TrackedStream, number>()
  /** Ended by other processes, and listed all the same, since when. */
  #suspects: ReadonlyMap<string, number> = new Map()
  /** Whether the last comparison left something for the next, since too much was undelivered already. */
  wasCutShort = false

  constructor(parts: ReconcilerParts) {
    this.#parts = parts
  }

  /** Whether there is anything to compare. */
  get isNeeded(): boolean {
    const { live, endedLedger } = this.#parts
    return live.size > 0 || endedLedger.mayRemember
  }

  async reconcile(): Promise<ReconcileReport> {
    const { observer, live, sequence, outbox } = this.#parts
    this.wasCutShort = false
    // A stream that is announced while we look may be in neither list; it is judged next time.
    const candidates = live.list.filter((stream) => stream.isLive && stream.phase !== 'starting')
    const observation = await observer.all(sequence.current)
    const cameBack = await this.#comeBack(observation)
    const report: Record<Verdict, string[]> = { confirmed: [], reannounced: [], moved: [], lost: [], endedAgain: [], unsettled: [] }
    const mending: Promise<void>[] = [] // nothing is awaited before all of it is: one that fails would go unheard
    const engines = new Map(observation.engines.list.map((engine) => [engine.containerId, engine]))
    for (const stream of candidates) {
      if (!stream.isLive || stream.phase === 'starting') continue // something happened while we looked
      const verdict = this.#judge(stream, observation, engines)
      if (verdict === 'reannounced' && !outbox.hasRoom) {
        this.wasCutShort = true
        continue
      }
      report[verdict].push(stream.id)
      mending.push(this.#mend(stream, verdict, observation, engines))
    }
    for (const listed of cameBack) {
      if (!outbox.hasRoom) {
        this.wasCutShort = true
        break
      }
      report.endedAgain.push(listed.id)
      mending.push(this.#parts.registry.endAgain(listed))
    }
    await Promise.all(mending)
    return report
  }

  #judge(stream: TrackedStream, observation: Observation, engines: ReadonlyMap<string, Engine>): Verdict {
    const { streams } = observation
    const listedOn = streams.live.get(stream.id)?.containerId
    const own = stream.engine.containerId
    if (own === undefined) return listedOn === undefined ? 'unsettled' : 'moved'
    stream.engineListed(engines.has(own), { isPushed: false })
    // Its engine is there, and where it is listed instead, if anywhere, is not: it is put right, not given up.
    if (engines.has(own) && (listedOn === own || listedOn === undefined || !engines.has(listedOn))) {
      // An entry that cannot be read may be this stream, and a repeated start is not harmless (H5).
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

  /** Whether an engine that is not listed is gone for good. v1 goes on listing the stream then, for ever (hazard 10). */
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
    return now - since >= GRACE_MS
  }

  async #mend(stream: TrackedStream, verdict: Verdict, { streams }: Observation, engines: ReadonlyMap<string, Engine>): Promise<void> {
    const { registry, mapEngine: map } = this.#parts
    if (verdict === 'lost') return registry.lose(stream)
    const listed = streams.live.get(stream.id)
    const engine = engines.get((verdict === 'moved' ? listed?.containerId : stream.engine.containerId) ?? '')
    if (engine === undefined) return
    if (verdict === 'moved') {
      const { host, port } = mapEngine(engine, map)
      return registry.follow(stream, engine, { host, port, containerId: engine.containerId })
    }
    if (verdict === 'confirmed' && listed !== undefined) return registry.confirm(stream, listed)
    if (verdict !== 'reannounced') return
    // Under the address it is listed by now; the container is the same, so the engine is.
    stream.addressListed(engine)
    await registry.reannounce(stream)
  }

  /** What was ended here and is listed all the same, although the list was asked for after the end was acknowledged. */
  async #comeBack({ streams, sequence }: Observation): Promise<readonly Stream[]> {
    const { live, endedLedger } = this.#parts
    const isOver = (streamId: string): boolean => endedLedger.isOver(streamId, sequence) && !endedLedger.isUnapplied(streamId)
    const isInHand = ({ id }: Stream): boolean => live.has(id) || endedLedger.statusOf(id) === 'ending'
    const candidates = [...streams.live.values()].filter((stream) => !isInHand(stream) && !isOver(stream.id))
    await endedLedger.settleUnlisted(streams, sequence)
    const ended = await endedLedger.endedAmong(candidates)
    return this.#certain(ended.filter((stream) => !isInHand(stream)))
  }

  /** Without those that other processes ended, who may be about to tell so: unless they have been listed for a while. */
  #certain(streams: readonly Stream[]): readonly Stream[] {
    const { endedLedger, clock } = this.#parts
    const now = clock.now()
    const known = this.#suspects
    this.#suspects = new Map(streams.filter(({ id }) => !endedLedger.isOwn(id)).map(({ id }) => [id, known.get(id) ?? now]))
    return streams.filter(({ id }) => now - (this.#suspects.get(id) ?? Number.NEGATIVE_INFINITY) >= SUSPICION_MS)
  }
}

/** How our live streams compared with the orchestrator's, and what was done about it. All are stream ids. */
export interface ReconcileReport {
  /** Live here, and listed on the engine we put them on. */
  readonly confirmed: readonly string[]
  /** Live here, not listed there, though their engine is: announced again. */
  readonly reannounced: readonly string[]
  /** Live here, and listed on another engine: followed. */
  readonly moved: readonly string[]
  /** Live here, and their engine is gone: over. */
  readonly lost: readonly string[]
  /** Ended here, and listed there all the same: ended again. */
  readonly endedAgain: readonly string[]
  /** Live here, and what the orchestrator shows proves nothing yet: it lists no engine at all, or the stream on an engine that it does not list. */
  readonly unsettled: readonly string[]
}
