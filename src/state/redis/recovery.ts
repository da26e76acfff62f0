import type { JournalEntry } from '../store.ts'
import type { Member } from './member.ts'
import { RECOVER } from './record-scripts.ts'

/** Takes over what members that died had not settled. */
export class Recovery {
  readonly #member: Member
  /** An answer that was lost may have handed entries to us that we know nothing of. So does the first look take in everything. */
  #isThorough = true
  #last: Promise<unknown> = Promise.resolve()

  constructor(member: Member) {
    this.#member = member
  }

  /** One at a time: two answers under way might name the same entry. */
  recover(): Promise<readonly JournalEntry[]> {
    const next = this.#last.then(() => this.#recoverNow())
    this.#last = next
    return next
  }

  async #recoverNow(): Promise<readonly JournalEntry[]> {
    const { journal, keys, id } = this.#member
    const known = journal.known
    const args = [this.#isThorough ? '1' : '0', this.#member.nameCall()]
    const call = { script: RECOVER, keys: [keys.journal, keys.lastCall(`m:${id}`)], args }
    const answer = await this.#member.ask(call).catch(() => undefined)
    this.#isThorough = !Array.isArray(answer)
    if (!Array.isArray(answer)) return []
    const knownNow = journal.known
    const entries: JournalEntry[] = []
    for (const text of answer.map(String)) {
      const entry = parse(text)
      if (entry === undefined || known.has(entry.streamId) || knownNow.has(entry.streamId)) continue
      journal.adopt(entry, text)
      entries.push(entry)
    }
    return entries
  }
}

/** `undefined`: not written by this library, so nothing is known of its stream. */
function parse(text: string): JournalEntry | undefined {
  try {
    const entry = JSON.parse(text) as Partial<JournalEntry> | null
    return typeof entry?.streamId === 'string' ? (entry as JournalEntry) : undefined
  } catch {
    return undefined
  }
}
