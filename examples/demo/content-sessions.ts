/** The open sessions of several engines, by their content. */
export class ContentSessions {
  /** Highest number of sessions that one content had open at once. */
  peak = 0
  readonly #contents = new Map<string, string>()

  /** Counts a session that an engine has opened. */
  add(id: string, content: string): void {
    this.#contents.set(id, content)
    const count = [...this.#contents.values()].filter((other) => other === content).length
    this.peak = Math.max(this.peak, count)
  }

  /** Forgets a session. */
  delete(id: string): void {
    this.#contents.delete(id)
  }
}
