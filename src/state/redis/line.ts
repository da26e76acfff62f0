import type { Clock, Timer } from '../../runtime/clock.ts'

/** A try so many milliseconds after an offer has expired finds it expired. */
const MARGIN_MS = 50
/** How long the script offers a slot to one member, milliseconds, and the margin. */
const OFFER_MS = 650 + MARGIN_MS

/**
 * The place of this process in the fleet's line, see `line-operations.ts`. It wakes this process when a slot is offered to it, and when another
 * process has not answered an offer in time.
 */
export class Line {
  readonly #clock: Clock
  readonly #wake: () => void
  /** Client -> when its first waiting caller called. */
  readonly #waiting = new Map<string, number>()
  #timer: Timer | undefined
  #changeCount = 0
  /** Whether a caller of this process was refused in the turn that lasts. */
  #isRefused = false

  /** @param wake tries to take a slot for the callers that wait */
  constructor(clock: Clock, wake: () => void) {
    this.#clock = clock
    this.#wake = wake
  }

  /** Whether a caller of this process waits. */
  get isWaiting(): boolean {
    return this.#waiting.size > 0
  }

  /** When the first waiting caller of this process called, apart from the callers of this client. `undefined`: no other client has one. */
  firstOfOthers(clientId: string): number | undefined {
    const times = [...this.#waiting].filter(([other]) => other !== clientId).map(([, since]) => since)
    return times.length === 0 ? undefined : Math.min(...times)
  }

  /** Changes when a caller must ask again, although it has asked before: this process has lost its place, or a slot may be free for it. */
  get changeCount(): number {
    return this.#changeCount
  }

  /** See {@link changeCount}. */
  noteChange(): void {
    this.#changeCount += 1
  }

  /** A caller of this client waits from now on. The first caller of the client called at this time. */
  entered(clientId: string, since: number): void {
    this.#waiting.set(clientId, since)
  }

  /** No caller of this client waits any more. @default of all clients */
  left(clientId?: string): void {
    if (clientId === undefined) this.#waiting.clear()
    else this.#waiting.delete(clientId)
    this.noteChange()
    if (!this.isWaiting) this.#cancel()
  }

  /** It is the turn of another process, whose offer lasts for this time, milliseconds. */
  noteRefused(leftMs: number): void {
    if (!this.isWaiting) return
    this.#isRefused = true
    this.#wakeIn(leftMs + MARGIN_MS)
  }

  /** A slot is offered to this process or to another. */
  noteOffer(isOwn: boolean): void {
    this.#cancel()
    if (!this.isWaiting) return
    if (isOwn) this.wake()
    else this.#wakeIn(OFFER_MS)
  }

  /**
   * No slot is offered any more.
   *
   * @param isSlotLeft whether a slot is free that no process took which was offered it. A caller that was refused asks again now, the others with
   *   the next engine list
   */
  noteTurnEnd(isSlotLeft: boolean): void {
    const isRefused = this.#isRefused
    this.#isRefused = false
    this.#cancel()
    if (!isSlotLeft) return
    if (isRefused && this.isWaiting) this.wake()
    else this.noteChange()
  }

  /** The callers of this process ask now. */
  wake(): void {
    this.noteChange()
    this.#wake()
  }

  #wakeIn(ms: number): void {
    this.#cancel()
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = undefined
      this.wake()
    }, ms)
  }

  #cancel(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }
}
