import type { Logger } from '../runtime/logger.ts'
import type { Redact } from '../runtime/redaction.ts'
import { type Decoder, finish, Mismatch, readArray, type WireObject } from './decoding.ts'

/** The readable entries of a list, and the entries that were left out because they cannot be read. */
export interface Entries<Entry> {
  readonly entries: readonly Entry[]
  readonly unreadable: readonly UnreadableEntry[]
}

/** An entry of a list that was left out because it cannot be read, with its readable parts. */
export interface UnreadableEntry {
  /** The container id of an engine, or the id of a stream. */
  readonly id?: string
  /** Of a stream: the engine it is on. */
  readonly containerId?: string
  /** The wrong field and its expected type. Never the received value, which may be a secret. */
  readonly cause: string
}

/** The entries that were left out of an engine list and its stream list. Their engines and streams still exist. */
export interface Unreadable {
  readonly engines: readonly UnreadableEntry[]
  readonly streams: readonly UnreadableEntry[]
}

/** Called for each entry that is left out of a list. */
export type OnLeftOut = (noun: 'engine' | 'stream', entry: UnreadableEntry) => void

/** The cause of an entry that can be read, but has an address to which nothing can connect. */
export const BAD_ADDRESS = 'host and port: expected an address'

/** Returns the parts of a broken entry that can be read. */
export type Identify = (entry: WireObject) => Omit<UnreadableEntry, 'cause'>

/** Entries of one slice. To read it takes a millisecond or two. */
const SLICE = 2_000

/** {@link entriesInSlices} without a pause. */
export function readEntries<Entry>(value: unknown, read: Decoder<Entry>, identify: Identify): Entries<Entry> {
  return finish(entriesInSlices(value, read, identify))
}

/**
 * Reads an array entry by entry: an entry that cannot be read is left out, and the others stay. If no entry can be read, the whole list is malformed:
 * an empty list would mean that there are no engines.
 */
export function* entriesInSlices<Entry>(value: unknown, read: Decoder<Entry>, identify: Identify): Generator<undefined, Entries<Entry>> {
  const entries: Entry[] = []
  const unreadable: UnreadableEntry[] = []
  let first: Mismatch | undefined
  const items = readArray(value)
  for (let index = 0; index < items.length; index += 1) {
    if (index > 0 && index % SLICE === 0) yield
    const item = items[index]
    try {
      entries.push(read(item))
    } catch (error) {
      if (!(error instanceof Mismatch)) throw error
      const isObject = typeof item === 'object' && item !== null && !Array.isArray(item)
      unreadable.push({ ...(isObject ? identify(item as WireObject) : {}), cause: error.describe('entry') })
      first ??= error.under(index)
    }
  }
  if (entries.length === 0 && first !== undefined) throw first
  return { entries, unreadable }
}

/** Returns a value if it can be an id: a text that is not empty. */
export function nameOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/**
 * Whether an engine that is missing in a list may exist nevertheless. `yes`: an entry with its id was left out. `perhaps`: an entry without an
 * id was left out.
 */
export function mayListEngine(unreadable: Unreadable | undefined, containerId: string): 'yes' | 'perhaps' | 'no' {
  const engines = unreadable?.engines ?? []
  if (engines.some(({ id }) => id === containerId)) return 'yes'
  return engines.some(({ id }) => id === undefined) ? 'perhaps' : 'no'
}

/**
 * Whether a stream that is missing in a list may exist nevertheless: an entry with its id was left out, or an entry without an id that may be
 * on its engine.
 */
export function mayListStream(unreadable: Unreadable | undefined, streamId: string, containerId: string | undefined): boolean {
  return (unreadable?.streams ?? []).some(({ id, containerId: on }) => {
    if (id !== undefined) return id === streamId
    return on === undefined || containerId === undefined || on === containerId
  })
}

/** How many reports are remembered. A forgotten report may be logged a second time. */
const MAX_REPORTS = 1_000

/** Logs the entries that were left out of lists: each entry and cause once, however often the list is read. */
export class EntryReports {
  readonly #logger: Logger
  readonly #redact: Redact
  readonly #reported = new Set<string>()

  constructor({ logger, redact }: { logger: Logger; redact: Redact }) {
    this.#logger = logger
    this.#redact = redact
  }

  /** Logs an entry, unless it was logged before with the same cause. */
  readonly report: OnLeftOut = (noun, { id, containerId, cause }) => {
    const key = JSON.stringify([noun, id, containerId, cause])
    if (this.#reported.has(key)) return
    this.#reported.add(key)
    const [oldest] = this.#reported
    if (this.#reported.size > MAX_REPORTS && oldest !== undefined) this.#reported.delete(oldest)
    const fields = {
      ...(id === undefined ? {} : { [noun === 'engine' ? 'containerId' : 'streamId']: this.#redact(id) }),
      ...(containerId === undefined ? {} : { containerId: this.#redact(containerId) }),
      cause,
    }
    // Starts of other proxies leave engines with impossible addresses in the list for ever (H8): no warning.
    if (cause === BAD_ADDRESS) this.#logger.debug('skipped an engine that cannot be connected to', fields)
    else this.#logger.warn(`An entry of the ${noun} list is left out`, fields)
  }
}
