import type { JournalEntry } from '../store.ts'

interface Page {
  /** As it is stored. */
  readonly text: string
  isWritten: boolean
  /** Whether Redis may have it, or an older one of this id from us. */
  mayBeThere: boolean
}

/** What a renewal asks of the journal. */
export interface JournalWork {
  /** Ids, with what to write; nothing where Redis should have it. */
  readonly pages: readonly (readonly [streamId: string, text: string])[]
  readonly settled: readonly string[]
}

/** This process's entries, in the order in which they were written, and what Redis has still to be told about them. */
export class JournalHere {
  readonly #pages = new Map<string, Page>()
  readonly #settled = new Set<string>()

  get size(): number {
    return this.#pages.size
  }

  /** Ids that Redis may name although their entries were answered here. */
  get known(): Set<string> {
    return new Set([...this.#pages.keys(), ...this.#settled])
  }

  /** Keeps an entry. Answers what to store, and what is to be called once it is. */
  append(entry: JournalEntry): { text: string; written: () => void } {
    const text = JSON.stringify(entry)
    const mayBeThere = this.#pages.get(entry.streamId)?.mayBeThere === true || this.#settled.delete(entry.streamId)
    const page: Page = { text, isWritten: false, mayBeThere }
    this.#pages.set(entry.streamId, page)
    return { text, written: () => this.#wrote(page) }
  }

  /** An attempt to store it is about to leave. */
  attempted(streamId: string): void {
    const page = this.#pages.get(streamId)
    if (page !== undefined) page.mayBeThere = true
  }

  /** Strikes an entry out. Answers what is to be called once Redis has done so too. */
  settle(streamId: string): () => void {
    const page = this.#pages.get(streamId)
    this.#pages.delete(streamId)
    if (page?.mayBeThere) this.#settled.add(streamId)
    return () => {
      // It may have been written anew meanwhile.
      if (!this.#pages.has(streamId)) this.#settled.delete(streamId)
    }
  }

  /** Takes over an entry of a process that died. */
  adopt(entry: JournalEntry, text: string): void {
    this.#pages.set(entry.streamId, { text, isWritten: true, mayBeThere: true })
  }

  /** What a renewal is to do. Answers what is to be called with its outcome. */
  work(): { work: JournalWork; done: (missing: readonly number[], foreign: readonly number[]) => void } {
    const pages = [...this.#pages]
    const settled = [...this.#settled]
    for (const [, page] of pages) if (!page.isWritten) page.mayBeThere = true
    const done = (missing: readonly number[], foreign: readonly number[]): void => {
      for (const [, page] of pages) this.#wrote(page)
      for (const place of missing) {
        const page = pages[place]?.[1]
        if (page !== undefined) page.isWritten = false
      }
      for (const place of foreign) {
        const [streamId, page] = pages[place] ?? []
        if (streamId !== undefined && this.#pages.get(streamId) === page) this.#pages.delete(streamId)
      }
      for (const streamId of settled) this.#settled.delete(streamId)
    }
    return { work: { pages: pages.map(([streamId, page]) => [streamId, page.isWritten ? '' : page.text]), settled }, done }
  }

  #wrote(page: Page): void {
    page.isWritten = true
    page.mayBeThere = true
  }
}
