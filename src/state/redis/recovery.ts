import { StoreError } from '../../errors.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { JournalEntry } from '../store.ts'
import type { Peer } from './fleet-watch.ts'
import type { LocalJournal } from './local-journal.ts'
import type { WriteQueue } from './write-queue.ts'

/** What a {@link Recovery} needs. */
export interface RecoveryParts {
  outbox: WriteQueue
  journal: LocalJournal
  logger: () => Logger
  /** Where the state is, for messages. */
  place: () => string
}

/** An entry as the script stores it. */
const STORED = /^(\S+) (\d+) (\d+):([\s\S]*)$/
/** Entries taken over by one batch. */
const MOST_AT_ONCE = 200

/** Buries members that died: releases their slots, and takes over their entries. */
export class Recovery {
  readonly #parts: RecoveryParts
  /** Entries of the dead that were seen and are not taken over yet: the answer may have been lost. Each with its place in the order. */
  readonly #found = new Map<string, number>()
  /** The dead whose slots are released, and whose entries were all seen. */
  readonly #searched = new Set<string>()
  readonly #recovered: JournalEntry[] = []
  #mustWalk = false
  #isStopped = false
  #hasWarned = false
  #last: Promise<unknown> = Promise.resolve()

  constructor(parts: RecoveryParts) {
    this.#parts = parts
  }

  /** Whether entries were found that are not taken over yet. */
  get isPending(): boolean {
    return this.#found.size > 0 || this.#recovered.length > 0
  }

  /** Ends the work after the question that is under way. Never rejects. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#last
  }

  /** The state may hold something of members that it does not know. */
  suspect(): void {
    this.#mustWalk = true
  }

  /** Releases the slots of the dead. Never rejects. */
  async bury(dead: () => readonly Peer[]): Promise<void> {
    await this.#inOrder(() => this.#search(dead()))
  }

  /** Takes over the entries of the dead. Never rejects. */
  async recover(dead: () => readonly Peer[]): Promise<void> {
    await this.#inOrder(async () => {
      await this.#search(dead())
      await this.#takeOver()
    })
  }

  /** The entries taken over since this was asked last. */
  recovered(): readonly JournalEntry[] {
    return this.#recovered.splice(0)
  }

  /** One at a time: two burials at once would find the same. */
  #inOrder(work: () => Promise<void>): Promise<void> {
    // What Redis did not answer is asked next time.
    const next = this.#last.then(work).catch(() => {})
    this.#last = next
    return next
  }

  /** @throws {@link StoreError} where Redis does not answer, or this process leaves */
  #ask(args: readonly string[]): Promise<unknown> {
    if (this.#isStopped) return Promise.reject(new StoreError('The store is closed', { reason: 'unavailable' }))
    return this.#parts.outbox.ask(args)
  }

  async #search(dead: readonly Peer[]): Promise<void> {
    const marked: string[] = []
    for (const { id, last } of dead) {
      if (!this.#searched.has(id) && Number(await this.#ask(['M', id, last])) === 1) marked.push(id)
    }
    if (marked.length === 0 && !this.#mustWalk) return
    for (let cursor = await this.#step('0'); cursor !== '0'; ) cursor = await this.#step(cursor)
    this.#mustWalk = false
    for (const id of marked) this.#searched.add(id)
  }

  /** Answers where to go on; `0`: nowhere. */
  async #step(from: string): Promise<string> {
    const [cursor = '0', ...fields] = ((await this.#ask(['B', from])) as unknown[]).map(String)
    for (let place = 0; place < fields.length; place += 2) {
      const [streamId = '', stored = ''] = fields.slice(place, place + 2)
      const order = STORED.exec(stored)?.[2]
      if (order === undefined) this.#setAside(streamId)
      else this.#found.set(streamId, Number(order))
    }
    return cursor
  }

  async #takeOver(): Promise<void> {
    const ids = [...this.#found].sort(([, one], [, other]) => one - other).map(([streamId]) => streamId)
    for (let from = 0; from < ids.length; from += MOST_AT_ONCE) {
      const some = ids.slice(from, from + MOST_AT_ONCE)
      const answers = await Promise.all(some.map((streamId) => this.#ask(['H', streamId])))
      for (const [place, streamId] of some.entries()) {
        this.#found.delete(streamId)
        const entry = this.#adopt(streamId, String(answers[place]))
        if (entry !== undefined) this.#recovered.push(entry)
      }
    }
    for (const id of this.#searched) {
      await this.#ask(['X', id])
      this.#searched.delete(id)
    }
  }

  #adopt(streamId: string, stored: string): JournalEntry | undefined {
    const [, , , length = '', rest = ''] = STORED.exec(stored) ?? []
    if (length === '' || this.#parts.journal.knows(streamId)) return undefined
    const entry = parse(rest, Number(length), streamId)
    if (entry === undefined) this.#setAside(streamId)
    else this.#parts.journal.adopt(entry)
    return entry
  }

  #setAside(streamId: string): void {
    const { outbox, logger, place } = this.#parts
    void outbox.ask(['Z', streamId]).catch(() => {})
    if (this.#hasWarned) return
    this.#hasWarned = true
    const where = `${place()}, field ?:${streamId}`
    logger().warn('An entry of the journal is not one of this library; it is set aside, and nobody ends its stream', { streamId, where })
  }
}

/** `undefined`: not written by this library, so nothing is known of its stream. The life's length is counted in bytes. */
function parse(rest: string, lifeLength: number, streamId: string): JournalEntry | undefined {
  try {
    const text = new TextDecoder().decode(new TextEncoder().encode(rest).subarray(lifeLength))
    const entry: unknown = JSON.parse(text)
    return isEntry(entry) && entry.streamId === streamId ? entry : undefined
  } catch {
    return undefined
  }
}

function isEntry(value: unknown): value is JournalEntry {
  if (typeof value !== 'object' || value === null) return false
  const { streamId, proxyId, isOver, containerId, reason, life } = value as Record<keyof JournalEntry, unknown>
  const areOptional = [containerId, reason, life].every((field) => field === undefined || typeof field === 'string')
  return typeof streamId === 'string' && typeof proxyId === 'string' && typeof isOver === 'boolean' && areOptional
}
