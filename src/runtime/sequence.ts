/** Numbers requests and acknowledgements, so that "before" and "after" do not depend on a clock. */
export class Sequence {
  #last = 0

  /** Takes the number of the next event. */
  next(): number {
    this.#last += 1
    return this.#last
  }

  /** The number of the last event; 0 before the first. */
  get current(): number {
    return this.#last
  }
}
