/** Where one orchestrator's state is. All keys share one hash tag, so that a cluster keeps them on one server and a script may use them all. */
export class Keys {
  readonly #tag: string
  readonly fleet: string
  readonly members: string
  readonly awaited: string
  readonly ended: string
  /** Which life of an ended id has ended, where that is known. */
  readonly lives: string
  readonly journal: string
  /** Where slots given back are told. */
  readonly channel: string

  constructor(name: string) {
    this.#tag = `{acestream:${name}}`
    this.fleet = `${this.#tag}:fleet`
    this.members = `${this.#tag}:members`
    this.awaited = `${this.#tag}:awaited`
    this.ended = `${this.#tag}:ended`
    this.lives = `${this.#tag}:lives`
    this.journal = `${this.#tag}:journal`
    this.channel = `${this.#tag}:freed`
  }

  engine(containerId: string): string {
    return `${this.#tag}:e:${containerId}`
  }

  /** Which call did something last that must not be done twice: of a stream, or of a member. For a minute. */
  lastCall(id: string): string {
    return `${this.#tag}:c:${id}`
  }
}
