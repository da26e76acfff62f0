import type { Sample } from './prometheus.ts'

/** Counts of the responses and refusals of the proxy. */
export class RequestCounts {
  readonly #responses = new Map<string, { route: string; status: string; count: number }>()
  readonly #refusals = new Map<string, number>()

  /**
   * @param route the path of the route, or `other`: paths that viewers choose would make any number of counters
   * @param status `none` if the connection was closed before the response
   */
  countResponse(route: string, status: string): void {
    const key = `${status} ${route}`
    const entry = this.#responses.get(key) ?? { route, status, count: 0 }
    entry.count++
    this.#responses.set(key, entry)
  }

  /** @param reason the code of a refusal */
  countRefusal(reason: string): void {
    this.#refusals.set(reason, (this.#refusals.get(reason) ?? 0) + 1)
  }

  get responses(): readonly Sample[] {
    return Array.from(this.#responses.values(), ({ route, status, count }) => ({ labels: { route, status }, value: count }))
  }

  get refusals(): readonly Sample[] {
    return Array.from(this.#refusals, ([reason, value]) => ({ labels: { reason }, value }))
  }
}
