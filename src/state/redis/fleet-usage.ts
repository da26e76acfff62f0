import type { EngineUsage, SlotCandidate, UsageListener } from '../store.ts'
import type { LocalSlots } from './local-slots.ts'

/**
 * How long an engine counts as full that is full by its slots, milliseconds. It is counted as free earlier if Redis reports that one of its
 * slots became free. A proxy of an earlier release makes Redis report nothing.
 */
const FULL_MS = 10_000
/** How long an engine counts as full that is full only together with the streams that the list reports on it: the next list may be another. */
const FULL_BY_REPORTS_MS = 500

/** An answer of the operation `takeSlot`. */
export interface TakeAnswer {
  /** The place of the candidate with room, or a number below 0. */
  readonly result: number
  /** How many slots became free in the fleet so far. `undefined`: as many as this process knows. */
  readonly freedCount: number | undefined
  /** Of each candidate that is full: `h`, by its slots; `r`, with its reported streams. */
  readonly full: string
  /** How long not to try again if it is the turn of another process, milliseconds. -1: there is no line. */
  readonly waitMs: number
  /** The engines on which a slot became free since {@link FleetUsage.freedCount}; `*`: any engine. */
  readonly freed: readonly string[]
}

/** Reads an answer of `takeSlot`. */
export function parseTakeAnswer(answer: unknown): TakeAnswer {
  if (!Array.isArray(answer)) return { result: Number(answer), freedCount: undefined, full: '', waitMs: 0, freed: [] }
  const [result, freedCount, full, waitMs, ...freed] = answer as unknown[]
  return { result: Number(result), freedCount: Number(freedCount), full: String(full), waitMs: Number(waitMs), freed: freed.map(String) }
}

/** The slots of this process, and the engines that are full because of other processes, as far as Redis has reported them. */
export class FleetUsage {
  readonly #slots: LocalSlots
  readonly #now: () => number
  /** Engine -> its number of slots, until when it counts as full, and whether it is full only together with the reported streams. */
  readonly #full = new Map<string, { readonly limit: number; readonly until: number; readonly isByReports: boolean }>()
  #freedCount: number | undefined
  #listeners: readonly UsageListener[] = []

  constructor(slots: LocalSlots, now: () => number) {
    this.#slots = slots
    this.#now = now
    slots.onUsageChanged((containerId = '') => {
      // A slot that this process took or released there: it was not full, or is full no longer.
      this.#full.delete(containerId)
      this.#changed(containerId)
    })
  }

  /** How many slots became free in the fleet when the full engines were reported. `undefined`: not known. */
  get freedCount(): number | undefined {
    return this.#freedCount
  }

  /** As `StateStore.usage`. The free slots of this process on a full engine count as leases. */
  current(): ReadonlyMap<string, EngineUsage> {
    this.forgetExpired()
    const own = this.#slots.usage()
    if (this.#full.size === 0) return own
    const all = new Map(own)
    for (const containerId of this.#full.keys()) {
      const usage = this.#usageOf(containerId, own)
      if (usage !== undefined) all.set(containerId, usage)
    }
    return all
  }

  /** As `StateStore.onUsageChanged`. */
  onChanged(listener: UsageListener): () => void {
    const added: UsageListener = (containerId, usage) => listener(containerId, usage)
    this.#listeners = [...this.#listeners, added]
    return () => {
      this.#listeners = this.#listeners.filter((other) => other !== added)
    }
  }

  /**
   * Records which of these candidates are full, and which engines are full no longer.
   *
   * @returns whether an engine is full no longer
   */
  note({ full, freedCount, freed }: TakeAnswer, asked: readonly SlotCandidate[], limit: number): boolean {
    const isAnyFreed = this.#forget(freed.includes('*') ? [...this.#full.keys()] : freed)
    this.#freedCount = freedCount ?? this.#freedCount
    for (const [place, kind] of [...full].entries()) {
      const containerId = asked[place]?.containerId
      if (containerId === undefined) continue
      const isByReports = kind !== 'h'
      this.#full.set(containerId, { limit, until: this.#now() + (isByReports ? FULL_BY_REPORTS_MS : FULL_MS), isByReports })
      this.#changed(containerId)
    }
    return isAnyFreed
  }

  /** An engine is full no longer. `''`: a reported stream is over, so that an engine may be full no longer on which it is reported. */
  noteFree(containerId: string): void {
    const byReports = containerId === '' ? [...this.#full].filter(([, { isByReports }]) => isByReports) : []
    this.#forget([containerId, ...byReports.map(([id]) => id)])
  }

  /** Any engine may be full no longer. */
  forgetFull(): void {
    this.#forget([...this.#full.keys()])
  }

  /** Forgets the engines that were reported as full too long ago. */
  forgetExpired(): void {
    const now = this.#now()
    const expired = [...this.#full].filter(([, { until }]) => until <= now)
    this.#forget(expired.map(([containerId]) => containerId))
  }

  /** Forgets all that other processes hold: Redis may have lost it. */
  forgetOthers(): void {
    this.#freedCount = undefined
    this.forgetFull()
  }

  #forget(containerIds: readonly string[]): boolean {
    const known = containerIds.filter((containerId) => this.#full.delete(containerId))
    for (const containerId of known) this.#changed(containerId)
    return known.length > 0
  }

  #usageOf(containerId: string, own: ReadonlyMap<string, EngineUsage>): EngineUsage | undefined {
    const usage = own.get(containerId)
    const full = this.#full.get(containerId)
    if (full === undefined) return usage
    const streamIds = usage?.streamIds ?? new Set<string>()
    return { leaseCount: Math.max(full.limit - streamIds.size, usage?.leaseCount ?? 0), streamIds }
  }

  #changed(containerId: string): void {
    for (const listener of this.#listeners) listener(containerId, this.#usageOf(containerId, this.#slots.usage()))
  }
}
