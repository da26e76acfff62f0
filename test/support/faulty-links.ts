import { FaultyLink } from './faulty-link.ts'

/** The links of one process to all servers that it connects to. A fault affects all of them. */
export class FaultyLinks {
  /** By the server's port. */
  readonly #links: ReadonlyMap<number, FaultyLink>

  private constructor(links: ReadonlyMap<number, FaultyLink>) {
    this.#links = links
  }

  static async open(targetPorts: readonly number[], now: () => number): Promise<FaultyLinks> {
    return new FaultyLinks(new Map(await Promise.all(targetPorts.map(async (port) => [port, await FaultyLink.open(port, now)] as const))))
  }

  /** The ports that clients connect to, by the server's port. */
  get ports(): ReadonlyMap<number, number> {
    return new Map([...this.#links].map(([port, link]) => [port, link.port]))
  }

  /** Whether requests and answers pass at once. */
  get isClear(): boolean {
    return [...this.#links.values()].every((link) => link.isClear)
  }

  /** Applies `change` to each link. */
  each(change: (link: FaultyLink) => void): void {
    for (const link of this.#links.values()) change(link)
  }
}
