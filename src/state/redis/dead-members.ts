import type { Logger } from '../../runtime/logger.ts'
import type { JournalEntry } from '../store.ts'
import type { LocalJournal } from './local-ends.ts'
import { closedError } from './reply-error.ts'
import type { OperationCall } from './script.ts'
import type { WriteQueue } from './write-queue.ts'

/** Another member, as Redis shows it. */
export interface Peer {
  readonly id: string
  /** The number of its last batch, or `x` if it is dead. */
  readonly lastBatch: string
  /** How long it may be silent, milliseconds. */
  readonly ttlMs: number
}

/** Options of {@link FailureDetector}. */
export interface FailureDetectorParts {
  /** `slotTtlMs` of this process. The longer of this value and the member's own is used. */
  ttlMs: number
  /**
   * How often {@link FailureDetector.observe} is called, milliseconds. An outage of Redis that is shorter than this may not be detected.
   */
  intervalMs: number
  /** The monotonic clock of this process. */
  now: () => number
}

interface Observed {
  readonly value: string
  /** When this value was seen first. */
  readonly since: number
}

const DEAD = 'x'

/**
 * Decides which members are dead, by this process's own monotonic clock. A member is dead if it sent no batch for a whole `slotTtlMs` in
 * which Redis answered this process without a failure. Each failed call, and each pause of this process, starts the observation of all
 * members anew.
 */
export class FailureDetector {
  readonly #parts: FailureDetectorParts
  #peers: readonly Peer[] = []
  #batches = new Map<string, Observed>()
  #hold: Observed | undefined
  #observedAt = Number.NEGATIVE_INFINITY

  constructor(parts: FailureDetectorParts) {
    this.#parts = parts
  }

  /** Records the members as Redis shows them now. `hold`: the name of the hold, `''` if there is none. */
  observe(peers: readonly Peer[], hold: string): void {
    const now = this.#parts.now()
    // After a pause of half a time to live, it is not known whether Redis answered the other members meanwhile.
    if (now - this.#observedAt > this.#parts.ttlMs / 2) this.restart()
    this.#observedAt = now
    // With a new hold the server was restarted or lost data: it may have lost the batches, too.
    if (hold !== '' && hold !== this.#hold?.value) this.#batches.clear()
    this.#peers = peers
    this.#batches = new Map(peers.map(({ id, lastBatch }) => [id, observed(this.#batches.get(id), lastBatch, now)]))
    this.#hold = hold === '' ? undefined : observed(this.#hold, hold, now)
  }

  /** Starts the observation anew: Redis did not answer. */
  restart(): void {
    this.#peers = []
    this.#batches.clear()
    this.#hold = undefined
    this.#observedAt = Number.NEGATIVE_INFINITY
  }

  /** The members that are dead, as of the last observation. */
  get dead(): readonly Peer[] {
    const { ttlMs: ownTtlMs, intervalMs } = this.#parts
    return this.#peers.filter(
      ({ id, lastBatch, ttlMs }) => lastBatch === DEAD || this.#hasLasted(this.#batches.get(id), Math.max(ttlMs, ownTtlMs) + intervalMs),
    )
  }

  /** The name of the hold, if all members have had the time to report their slots since it began. */
  get overdueHold(): string | undefined {
    const longestMs = Math.max(...this.#peers.map(({ ttlMs }) => ttlMs), this.#parts.ttlMs)
    return this.#hasLasted(this.#hold, longestMs) ? this.#hold?.value : undefined
  }

  /** Whether a value was unchanged for this time at the last observation. */
  #hasLasted(value: Observed | undefined, ms: number): boolean {
    return value !== undefined && this.#observedAt - value.since >= ms
  }
}

const observed = (before: Observed | undefined, value: string, now: number): Observed =>
  before?.value === value ? before : { value, since: now }

/** Dependencies of {@link Recovery}. */
export interface RecoveryParts {
  detector: FailureDetector
  queue: WriteQueue
  journal: LocalJournal
  logger: () => Logger
  /** The key of the fleet's state, for messages. */
  stateKey: () => string
}

/** An entry as the script stores it: member, place in the order, length of the life in bytes, life and text. */
const STORED_ENTRY = /^(\S+) (\d+) (\d+):([\s\S]*)$/
/** Entries taken over at once. */
const MAX_ENTRIES = 100

/**
 * Takes over the state of dead members: first releases their slots, then makes their journal entries this process's own, so that their
 * streams are ended. If Redis does not answer, the next call tries again.
 */
export class Recovery {
  readonly #parts: RecoveryParts
  /** Stream -> place in the order. Entries of dead members that were seen; each stays until the answer to its takeover has come. */
  readonly #found = new Map<string, number>()
  /** Dead members whose slots are released, and whose entries were all seen. */
  readonly #searched = new Set<string>()
  readonly #recovered: JournalEntry[] = []
  #mustSearch = false
  #isStopped = false
  #hasWarned = false
  #running: Promise<void> = Promise.resolve()

  constructor(parts: RecoveryParts) {
    this.#parts = parts
  }

  /** Whether entries were found that the client does not have yet. */
  get isPending(): boolean {
    return this.#found.size > 0 || this.#recovered.length > 0
  }

  /** Stops after the call in flight. Never rejects. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#running
  }

  /** Searches the state with the next call even if no member is dead: it may have slots of unknown members. */
  requestSearch(): void {
    this.#mustSearch = true
  }

  /** Releases the slots of dead members. Never rejects. */
  releaseSlots(): Promise<void> {
    return this.#inOrder(() => this.#search())
  }

  /** Releases the slots of dead members and takes over their entries, see {@link takeRecovered}. Never rejects. */
  recover(): Promise<void> {
    return this.#inOrder(async () => {
      await this.#search()
      await this.#takeOver()
    })
  }

  /** Returns the entries taken over since the last call, in the order in which they were written. */
  takeRecovered(): readonly JournalEntry[] {
    return this.#recovered.splice(0)
  }

  /** Runs one search at a time: two at once would find the same entries. */
  #inOrder(work: () => Promise<void>): Promise<void> {
    this.#running = this.#running.then(work).catch(() => {})
    return this.#running
  }

  /** @throws {@link StoreError} if Redis does not answer, or this process leaves */
  #ask(...call: OperationCall): Promise<unknown> {
    if (this.#isStopped) return Promise.reject(closedError())
    return this.#parts.queue.ask(call)
  }

  async #search(): Promise<void> {
    const marked: string[] = []
    for (const { id, lastBatch } of this.#parts.detector.dead) {
      if (!this.#searched.has(id) && Number(await this.#ask('markDead', id, lastBatch)) === 1) marked.push(id)
    }
    if (marked.length === 0 && !this.#mustSearch) return
    let cursor = '0'
    do cursor = await this.#searchFrom(cursor)
    while (cursor !== '0')
    this.#mustSearch = false
    for (const id of marked) this.#searched.add(id)
  }

  /** One step. Returns the next cursor, `0` at the end. */
  async #searchFrom(from: string): Promise<string> {
    const [cursor = '0', ...fields] = ((await this.#ask('walk', from)) as unknown[]).map(String)
    for (let place = 0; place < fields.length; place += 2) {
      const [streamId = '', stored = ''] = fields.slice(place, place + 2)
      const order = STORED_ENTRY.exec(stored)?.[2]
      if (order === undefined) this.#setAside(streamId)
      else this.#found.set(streamId, Number(order))
    }
    return cursor
  }

  async #takeOver(): Promise<void> {
    const ids = [...this.#found].sort(([, one], [, other]) => one - other).map(([streamId]) => streamId)
    for (let from = 0; from < ids.length; from += MAX_ENTRIES) {
      const some = ids.slice(from, from + MAX_ENTRIES)
      const answers = await Promise.all(some.map((streamId) => this.#ask('takeOverEntry', streamId)))
      for (const [place, streamId] of some.entries()) {
        this.#found.delete(streamId)
        this.#adopt(streamId, String(answers[place]))
      }
    }
    for (const id of this.#searched) {
      await this.#ask('removeMember', id)
      this.#searched.delete(id)
    }
  }

  #adopt(streamId: string, stored: string): void {
    const { journal } = this.#parts
    const [, , , lifeLength = '', rest = ''] = STORED_ENTRY.exec(stored) ?? []
    if (lifeLength === '' || journal.has(streamId)) return
    const entry = parseEntry(rest, Number(lifeLength), streamId)
    if (entry === undefined) this.#setAside(streamId)
    else {
      journal.adopt(entry)
      this.#recovered.push(entry)
    }
  }

  #setAside(streamId: string): void {
    const { queue, logger, stateKey } = this.#parts
    void queue.ask(['setAsideEntry', streamId]).catch(() => {})
    if (this.#hasWarned) return
    this.#hasWarned = true
    const where = `${stateKey()}, field ?:${streamId}`
    const message = 'This library did not write an entry of the journal. It is set aside, and no proxy ends its stream. Check the field'
    logger().warn(message, { streamId, where })
  }
}

/** Returns `undefined` if this library did not write the entry. */
function parseEntry(rest: string, lifeLength: number, streamId: string): JournalEntry | undefined {
  try {
    // Lua counts the length in bytes.
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
