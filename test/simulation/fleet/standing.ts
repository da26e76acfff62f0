import { RENEW_MS, SLOT_TTL_MS, STEP_MS, TIMEOUT_MS } from './settings.ts'

/** A member that is cut off for less than this reports again before its TTL is over. */
const CUT_OFF_MS = SLOT_TTL_MS - RENEW_MS - 2 * TIMEOUT_MS

/** What an observer outside knows of one member: whether it can reach the store, and whether others may take it for dead. */
export class Standing {
  state: 'lives' | 'crashed' | 'left' = 'lives'
  /** When the store answered it last. */
  #answeredAt: number
  /** Its last time without a clear link. */
  #cutOffFrom = Number.NEGATIVE_INFINITY
  #cutOffUntil = Number.NEGATIVE_INFINITY
  #mayBeTakenForDead = false

  constructor(now: number) {
    this.#answeredAt = now
  }

  get isAlive(): boolean {
    return this.state === 'lives'
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
    this.#answeredAt = now
  }

  /** To be called after each step. Answers whether it may be taken for dead from now on. `storeUpSince`: `+Infinity` while it is away. */
  look(now: number, isClear: boolean, storeUpSince: number): boolean {
    if (!isClear && !this.isCutOff) [this.#cutOffFrom, this.#cutOffUntil] = [now, Number.POSITIVE_INFINITY]
    if (isClear && this.isCutOff) this.#cutOffUntil = now
    if (this.#mayBeTakenForDead) {
      if (now - this.#cutOffUntil >= SLOT_TTL_MS) this.#mayBeTakenForDead = false
      return false
    }
    // By the next look another member may have seen nothing of it for a whole TTL, during which the store answered.
    const silentSince = Math.max(this.#answeredAt, storeUpSince)
    const isRecent = now - this.#cutOffUntil <= 2 * TIMEOUT_MS
    const cutOffMs = Math.min(now, this.#cutOffUntil) - Math.max(this.#cutOffFrom, storeUpSince) + STEP_MS
    this.#mayBeTakenForDead = now + STEP_MS - silentSince >= SLOT_TTL_MS && isRecent && cutOffMs >= CUT_OFF_MS
    return this.#mayBeTakenForDead
  }
}
