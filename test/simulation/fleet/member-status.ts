import { RENEW_MS, SLOT_TTL_MS, STEP_MS, TIMEOUT_MS } from './settings.ts'

/** A member that is cut off for less than this reports again before its time to live is over. */
const CUT_OFF_MS = SLOT_TTL_MS - RENEW_MS - 2 * TIMEOUT_MS

/** The state of a member's link and of the store after a step. */
interface Observation {
  /** Whether requests and answers of the member pass at once. */
  readonly isClear: boolean
  readonly storeUpSince: number
  /** Whether another member has reached the store for a whole time to live. */
  readonly isObserved: boolean
}

/** One member as seen from outside the fleet: whether it reaches the store, and whether others may take it for dead. */
export class MemberStatus {
  state: 'lives' | 'leaves' | 'gone' = 'lives'
  /** When the store answered it last. */
  #answeredAt: number
  #answeringSince: number
  /** Begin and end of its last period without a clear link. When it joins, its client library begins to connect. */
  #cutOffFrom: number
  #cutOffUntil: number
  #mayBeTakenForDead = false
  /** When its connections were last cut while its link stayed clear. */
  cutAt = Number.NEGATIVE_INFINITY

  constructor(now: number) {
    this.#answeredAt = now
    this.#answeringSince = now
    this.#cutOffFrom = now
    this.#cutOffUntil = now
  }

  get isAlive(): boolean {
    return this.state === 'lives'
  }

  /** Whether its process runs, even if it is leaving. */
  get isRunning(): boolean {
    return this.state !== 'gone'
  }

  get isCutOff(): boolean {
    return this.#cutOffUntil === Number.POSITIVE_INFINITY
  }

  /** Since when its link is clear; `+Infinity`: it is not. */
  get clearSince(): number {
    return this.#cutOffUntil
  }

  /** Whether others may take it for dead, or may have done so and its link has not been clear for a whole time to live since. */
  get mayBeTakenForDead(): boolean {
    return this.#mayBeTakenForDead
  }

  answered(now: number): void {
    if (now - this.#answeredAt > SLOT_TTL_MS / 2) this.#answeringSince = now
    this.#answeredAt = now
  }

  /**
   * Whether the store has answered it for a whole time to live, so that it may have noticed a silent member. Client libraries resend a
   * command whose answer was lost, so a link with faults may be enough.
   */
  isObserver(now: number): boolean {
    return this.isRunning && now + STEP_MS - this.#answeringSince >= SLOT_TTL_MS
  }

  /** Call this after each step. Returns whether others may take it for dead now. `storeUpSince`: `+Infinity` while the store is away. */
  observe(now: number, { isClear, storeUpSince, isObserved }: Observation): boolean {
    if (!isClear && !this.isCutOff) [this.#cutOffFrom, this.#cutOffUntil] = [now, Number.POSITIVE_INFINITY]
    if (isClear && this.isCutOff) this.#cutOffUntil = now
    // By the next step another member may have had no report of it for a whole time to live in which the store answered.
    const silentSince = Math.max(this.#answeredAt, storeUpSince)
    const isRecent = now - this.#cutOffUntil <= 2 * TIMEOUT_MS
    const cutOffMs = Math.min(now, this.#cutOffUntil) - Math.max(this.#cutOffFrom, storeUpSince) + STEP_MS
    const isSilent = now + STEP_MS - silentSince >= SLOT_TTL_MS && isRecent && cutOffMs >= CUT_OFF_MS && isObserved
    if (isSilent) this.#mayBeTakenForDead = true
    else if (now - this.#cutOffUntil >= SLOT_TTL_MS) this.#mayBeTakenForDead = false
    return isSilent
  }
}
