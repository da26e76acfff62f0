import type { JournalEntry } from '../store.ts'
import type { Operation } from './write-queue.ts'

interface Page {
  /** As it is stored. */
  readonly text: string
  readonly life: string
  readonly isOver: boolean
  /** Whether its process wrote it and Redis has not confirmed it: it replaces whatever is there. */
  isFresh: boolean
}

interface Settled {
  readonly wasOurs: boolean
  readonly life: string
}

/** This process's entries, in the order in which they were written, and those that it settled and Redis may still have. */
export class LocalJournal {
  readonly #pages = new Map<string, Page>()
  readonly #settled = new Map<string, Settled>()

  get size(): number {
    return this.#pages.size
  }

  /** The streams of all entries. */
  get streamIds(): readonly string[] {
    return [...this.#pages.keys()]
  }

  /** Whether an entry that Redis has is known here, or struck out here. */
  knows(streamId: string): boolean {
    return this.#pages.has(streamId) || this.#settled.has(streamId)
  }

  append(entry: JournalEntry): void {
    this.#settled.delete(entry.streamId)
    this.#pages.set(entry.streamId, pageOf(entry, true))
  }

  settle(streamId: string, life: string): void {
    const page = this.#pages.get(streamId)
    this.#pages.delete(streamId)
    const before = this.#settled.get(streamId)
    if (page !== undefined) this.#settled.set(streamId, { wasOurs: true, life: page.life })
    // What was ours is struck out first.
    else if (before?.wasOurs !== true) this.#settled.set(streamId, { wasOurs: false, life })
  }

  /** Takes over an entry of a process that died. */
  adopt(entry: JournalEntry): void {
    this.#pages.set(entry.streamId, pageOf(entry, false))
  }

  /** What tells Redis of a stream's entry, or that there is none. */
  encode(streamId: string): Operation | undefined {
    const page = this.#pages.get(streamId)
    if (page !== undefined) return this.#write(streamId, page)
    const settled = this.#settled.get(streamId)
    if (settled === undefined) return undefined
    const applied = (): void => {
      if (this.#settled.get(streamId) === settled) this.#settled.delete(streamId)
    }
    return { args: ['D', streamId, settled.wasOurs ? '1' : '0', settled.life], applied }
  }

  #write(streamId: string, page: Page): Operation {
    const { text, life, isOver, isFresh } = page
    const applied = (answer: unknown): void => {
      page.isFresh = false
      // Another process has it by now, or has ended the stream.
      if (Number(answer) === 0 && this.#pages.get(streamId) === page) this.#pages.delete(streamId)
    }
    return { args: [isFresh ? 'A' : 'R', streamId, life, isOver ? '1' : '0', text], applied }
  }
}

const pageOf = (entry: JournalEntry, isFresh: boolean): Page => {
  return { text: JSON.stringify(entry), life: entry.life ?? '', isOver: entry.isOver, isFresh }
}
