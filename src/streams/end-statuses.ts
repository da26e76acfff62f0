import type { Clock } from '../runtime/clock.ts'
import type { Sequence } from '../runtime/sequence.ts'
import { RecentIds } from '../state/recent-ids.ts'

/** Dependencies and options of {@link EndStatuses}. */
export interface EndStatusesParts {
  sequence: Sequence
  clock: Clock
  /** How long closed ids are remembered. */
  endedRetentionMs: number
  /** How many ids of each status are remembered; the oldest is forgotten first. */
  endedRetentionMax: number
  /** Called with each id that is `unapplied` and is forgotten, because there are more than the maximum. */
  onUnappliedForgotten: (streamId: string, life: string) => void
}

/** See `EndStatus`. */
export type SettledStatus = ClosedStatus | OpenStatus
/** No end is sent any more. */
type ClosedStatus = 'ended' | 'never-announced'
/** An end may have to be sent again. */
export type OpenStatus = 'unapplied' | 'delegated'

/** An end that may have to be sent again. */
export interface OpenEnd {
  /** When the status was set, or the id was claimed last; milliseconds. */
  readonly at: number
  /** The life that was to be ended. `''`: not known. */
  readonly life: string
  /** The current sequence number when the status was set: lists requested before prove nothing. */
  readonly sequence: number
}

/** The status of the last end of each id that was over in this process. */
export class EndStatuses {
  readonly #parts: EndStatusesParts
  /** Many: so each id has a time only, and no object of its own. */
  readonly #closed: Readonly<Record<ClosedStatus, RecentIds>> = { ended: new RecentIds(), 'never-announced': new RecentIds() }
  /** Few, the oldest first. */
  readonly #open: Readonly<Record<OpenStatus, Map<string, OpenEnd>>> = { unapplied: new Map(), delegated: new Map() }

  constructor(parts: EndStatusesParts) {
    this.#parts = parts
  }

  /** The status of an id. `undefined`: none is remembered. */
  get(streamId: string): SettledStatus | undefined {
    const { unapplied, delegated } = this.#open
    if (unapplied.has(streamId)) return 'unapplied'
    if (delegated.has(streamId)) return 'delegated'
    if (this.#isRetained(this.#closed.ended.timeOf(streamId))) return 'ended'
    return this.#isRetained(this.#closed['never-announced'].timeOf(streamId)) ? 'never-announced' : undefined
  }

  /** Whether this process ended the id within the retention, or its end is `unapplied`. */
  isOwn(streamId: string): boolean {
    const status = this.get(streamId)
    if (status === 'delegated') return this.#isRetained(this.#open.delegated.get(streamId)?.at)
    return status === 'ended' || status === 'unapplied'
  }

  /** Whether any end may have to be sent again. */
  get hasOpen(): boolean {
    return this.#open.unapplied.size > 0 || this.#open.delegated.size > 0
  }

  /** The ends with this status, by id. */
  open(status: OpenStatus): ReadonlyMap<string, OpenEnd> {
    return this.#open[status]
  }

  /** Sets the status of an id. It replaces the status before. */
  set(streamId: string, status: SettledStatus, life = ''): void {
    const { clock, sequence } = this.#parts
    this.forget(streamId)
    const at = clock.now()
    if (status === 'ended' || status === 'never-announced') {
      this.#closed[status].set(streamId, at)
      this.#trimClosed(status)
    } else {
      this.#open[status].set(streamId, { at, life, sequence: sequence.current })
      this.#trimOpen(status)
    }
  }

  /** Records the life that an `unapplied` end was meant for. */
  identify(streamId: string, life: string): void {
    const end = this.#open.unapplied.get(streamId)
    if (end !== undefined) this.#open.unapplied.set(streamId, { ...end, life })
  }

  /** Records a claim of an id that keeps its status. */
  touch(streamId: string, status: OpenStatus): void {
    const end = this.#open[status].get(streamId)
    if (end !== undefined) this.#open[status].set(streamId, { ...end, at: this.#parts.clock.now() })
  }

  /** Forgets the status of an id. */
  forget(streamId: string): void {
    this.#closed.ended.delete(streamId)
    this.#closed['never-announced'].delete(streamId)
    this.#open.unapplied.delete(streamId)
    this.#open.delegated.delete(streamId)
  }

  /** Forgets the closed ids beyond the retention. */
  trim(): void {
    this.#trimClosed('ended')
    this.#trimClosed('never-announced')
  }

  #isRetained(at: number | undefined): boolean {
    return at !== undefined && this.#parts.clock.now() - at < this.#parts.endedRetentionMs
  }

  #trimClosed(status: ClosedStatus): void {
    const ids = this.#closed[status]
    for (const [streamId, at] of ids) {
      if (ids.size <= this.#parts.endedRetentionMax && this.#isRetained(at)) return
      ids.delete(streamId)
    }
  }

  #trimOpen(status: OpenStatus): void {
    const ends = this.#open[status]
    for (const [streamId, { life }] of ends) {
      if (ends.size <= this.#parts.endedRetentionMax) return
      ends.delete(streamId)
      if (status === 'unapplied') this.#parts.onUnappliedForgotten(streamId, life)
    }
  }
}
