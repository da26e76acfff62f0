import { randomId } from '../../runtime/random.ts'

/** A process that has not been a member before. */
const NOBODY = '-'

/**
 * Which member of the fleet this process is, and what the server has confirmed to it. A member that was taken for dead, or whose writes the
 * server lost, is finished: the process joins anew, as another one.
 */
export class Identity {
  #id = randomId()
  #number = 0
  #confirmed = 0
  #predecessor = NOBODY
  #hasJoined = false
  #birth = ''

  get id(): string {
    return this.#id
  }

  get hasJoined(): boolean {
    return this.#hasJoined
  }

  /** Whether the server may know this process. */
  get wasMember(): boolean {
    return this.#hasJoined || this.#predecessor !== NOBODY
  }

  /** What the next batch begins with. Each batch has a higher number than the one before. */
  next(): { number: number; head: string[] } {
    this.#number += 1
    const joining = this.#hasJoined ? '' : this.#predecessor
    return { number: this.#number, head: [this.#id, String(this.#number), String(this.#confirmed), joining] }
  }

  /** The server has applied this batch. */
  applied(number: number, birth: string): void {
    this.#confirmed = Math.max(this.#confirmed, number)
    this.#hasJoined = true
    this.#birth = birth
  }

  /** Becomes another member. `birth`: names the state that the server has. Answers whether it is the one that knew this member. */
  startAnew(birth: string): boolean {
    if (this.#hasJoined) this.#predecessor = this.#id
    this.#id = randomId()
    this.#number = 0
    this.#confirmed = 0
    this.#hasJoined = false
    return this.#birth !== '' && this.#birth === birth
  }
}
