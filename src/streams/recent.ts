/** What happened lately, by the second. */
export class Recent {
  readonly #bySecond = new Map<number, number>()
  readonly #seconds: number

  constructor(seconds: number) {
    this.#seconds = seconds
  }

  add(nowMs: number, count: number): void {
    const second = Math.floor(nowMs / 1_000)
    this.#bySecond.set(second, (this.#bySecond.get(second) ?? 0) + count)
  }

  count(nowMs: number): number {
    const oldest = Math.floor(nowMs / 1_000) - this.#seconds
    let sum = 0
    for (const [second, count] of this.#bySecond) {
      if (second <= oldest) this.#bySecond.delete(second)
      else sum += count
    }
    return sum
  }
}
