import { RENEW_MS, SLOT_TTL_MS, STEP_MS, TIMEOUT_MS } from './settings.ts'

/** A member that is cut off for less than this reports again before its TTL is over. */
const CUT_OFF_MS = SLOT_TTL_MS - RENEW_MS - 2 * TIMEOUT_MS

/** What is seen from outside after a step. */
interface Look {
  /** Whether its requests and answers pass at once. */
  readonly isClear: boolean
  readonly storeUpSince: number
  /** Whether another member has reached the store for a whole TTL. */
  readonly isObserved: boolean
}

/** What an observer outside knows of one member: whether it can reach the store, and whether others may take it for dead. */
export class Standing {
  state: 'lives' | 'leaves' | 'gone' = 'lives'
  /** When the store answered it last. */
  #answeredAt: number
  #answeringSince: number
  /** Its last time without a clear link. */
  #cutOffFrom = Number.NEGATIVE_INFINITY
  #cutOffUntil = Number.NEGATIVE_INFINITY
  #mayBeTakenForDead = false
  /** When its connections were cut last, though its link is clear. */
  cutAt = Number.NEGATIVE_INFINITY

  constructor(now: number) {
    this.#answeredAt = now
    this.#answeringSince = now
  }

  get isAlive(): boolean {
    return this.state === 'lives'
  }

  /** Whether its process runs, if only to say farewell. */
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

  /** Whether others may take it for dead, or may have done so, and it has had no whole TTL since to put that right. */
  get mayBeTakenForDead(): boolean {
    return this.#mayBeTakenForDead
  }

  answered(now: number): void {
    if (now - this.#answeredAt > SLOT_TTL_MS / 2) this.#answeringSince = now
    this.#answeredAt = now
  }

  /**
   * Whether the store has answered it for a whole TTL, so that it may have seen that another was silent. A client library sends a command
   * again whose answer was lost, so a link with faults may be good enough.
   */
  isObserver(now: number): boolean {
    return this.isRunning && now + STEP_MS - this.#answeringSince >= SLOT_TTL_MS
  }

  /** To be called after each step. Answers whether others may take it for dead now. `storeUpSince`: `+Infinity` while it is away. */
  look(now: number, { isClear, storeUpSince, isObserved }: Look): boolean {
    if (!isClear && !this.isCutOff) [this.#cutOffFrom, this.#cutOffUntil] = [now, Number.POSITIVE_INFINITY]
    if (isClear && this.isCutOff) this.#cutOffUntil = now
    // By the next look another member may have seen nothing of it for a whole TTL, during which the store answered.
    const silentSince = Math.max(this.#answeredAt, storeUpSince)
    const isRecent = now - this.#cutOffUntil <= 2 * TIMEOUT_MS
    const cutOffMs = Math.min(now, this.#cutOffUntil) - Math.max(this.#cutOffFrom, storeUpSince) + STEP_MS
    const isSilent = now + STEP_MS - silentSince >= SLOT_TTL_MS && isRecent && cutOffMs >= CUT_OFF_MS && isObserved
    if (isSilent) this.#mayBeTakenForDead = true
    else if (now - this.#cutOffUntil >= SLOT_TTL_MS) this.#mayBeTakenForDead = false
    return isSilent
  }
}
