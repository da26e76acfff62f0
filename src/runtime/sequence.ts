/** Numbers what is sent and what is acknowledged, so that "before" and "after" do not depend on a clock. */
export class Sequence {
  #last = 0

  /** The number of the next thing that happens. */
  next(): number {
    this.#last += 1
    return this.#last
  }

  /** The number of what happened last. */
  get current(): number {
    return this.#last
  }
}
