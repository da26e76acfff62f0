import { RequestTimeoutError } from '../../errors.ts'
import {
  Mismatch,
  readArrayOf,
  readField,
  readFieldIfPresent,
  readIfMatching,
  readNumber,
  readObject,
  readText,
} from '../../orchestrator/decoding.ts'
import { type EngineRecord, engineListFrom, engineToRecord, readEngineRecord } from '../../orchestrator/listed-engines.ts'
import {
  type Entries,
  EntryReports,
  nameOf,
  readEntries,
  type Unreadable,
  type UnreadableEntry,
} from '../../orchestrator/unreadable-entries.ts'
import { runWithDeadline } from '../../runtime/abort.ts'
import { type Cache, MemoryCache } from '../../runtime/cache.ts'
import type { Logger } from '../../runtime/logger.ts'
import { isPromiseLike, type MaybePromise, toPromise } from '../../runtime/maybe-promise.ts'
import type { Outages } from '../../runtime/outages.ts'
import { makeRandomId } from '../../runtime/random.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import type { SteadyClock } from '../../runtime/steady-clock.ts'
import type { EngineSnapshot } from './snapshot.ts'

/** The entry in the host's cache. Plain JSON, so that any cache can keep it. */
interface CacheEntry {
  readonly version: 1
  /** Random id of the client that requested the list. */
  readonly source: string
  /** See {@link EngineSnapshot.sequence}. Has a meaning for the source only. */
  readonly sequence: number
  /** When the list arrived, by the source's steady clock. Has a meaning for the source only. */
  readonly steadyAt?: number | undefined
  /** When the list arrived, milliseconds since the epoch by the wall clock, for other clients. */
  readonly receivedAt: number
  readonly engines: readonly EngineRecord[]
  /** The entries of the list that the source could not read. */
  readonly unreadable?: Unreadable
}

function readCachedEngines(value: unknown): Entries<EngineRecord> {
  return readEntries(value, readEngineRecord, ({ containerId }) => {
    const id = nameOf(containerId)
    return id === undefined ? {} : { id }
  })
}

function readUnreadableEntry(value: unknown): UnreadableEntry {
  const cached = readObject(value)
  const id = readFieldIfPresent(cached, 'id', readText)
  const containerId = readFieldIfPresent(cached, 'containerId', readText)
  const cause = readField(cached, 'cause', readText)
  return { ...(id === undefined ? {} : { id }), ...(containerId === undefined ? {} : { containerId }), cause }
}

function readUnreadable(value: unknown): Unreadable {
  const cached = readObject(value)
  const readList = (list: unknown) => readArrayOf(list, readUnreadableEntry)
  return { engines: readField(cached, 'engines', readList), streams: readField(cached, 'streams', readList) }
}

/** Reads an entry that another program, or an earlier run of this one, may have written. */
function readCacheEntry(value: unknown) {
  const cached = readObject(value)
  const { version, steadyAt } = cached
  if (version !== 1) throw new Mismatch('1', 'version')
  const unreadable = readIfMatching(cached['unreadable'], readUnreadable)
  return {
    source: readField(cached, 'source', readText),
    sequence: readField(cached, 'sequence', (number) => readNumber(number)),
    ...(steadyAt === undefined ? {} : { steadyAt: readNumber(steadyAt) }),
    receivedAt: readField(cached, 'receivedAt', (at) => readNumber(at)),
    engines: readField(cached, 'engines', readCachedEngines),
    ...(unreadable === undefined ? {} : { unreadable }),
  }
}

type ParsedEntry = ReturnType<typeof readCacheEntry>

/** How long the cache may take. A request to the orchestrator is usually faster than that. */
const TIMEOUT_MS = 500
/** For this time, a cache that exceeded `TIMEOUT_MS` is not used. */
const SUSPENSION_MS = 30_000

const READING = 'Reading the cache'
const WRITING = 'Writing the cache'
const FAILURES = {
  [READING]: 'The engine list could not be read from the cache; it is requested instead',
  [WRITING]: 'The engine list could not be written to the cache; other clients do not see it',
} as const
type Work = keyof typeof FAILURES

/** Result of a cache that failed, as opposed to a cache without an entry. */
const FAILED = Symbol('failed')

/** Dependencies and options of {@link ListCache}. */
export interface ListCacheParts {
  cache: Cache
  key: string
  clock: SteadyClock
  sequence: Sequence
  logger: Logger
  outages: Outages
  /** Aborts with the client. */
  lifetime: AbortSignal
  /** How long the cache should keep an entry, milliseconds. */
  ttlMs: number
}

/** The engine list in the host's cache. If the cache throws, hangs or returns garbage, the list is requested instead. */
export class ListCache {
  readonly #parts: ListCacheParts
  readonly #source = makeRandomId()
  readonly #reports: EntryReports
  /** Entries that were parsed before. A cache that keeps references returns the same object each time. */
  readonly #parsed = new WeakMap<object, EngineSnapshot>()
  /** The last list of another client, so that reading the same entry twice does not make a newer list of it. */
  #foreign: { receivedAt: number; source: string; snapshot: EngineSnapshot } | undefined
  /** The list that was written last, to serve while the cache is suspended. */
  #last: EngineSnapshot | undefined
  #suspendedUntil = 0

  /** Whether only this client can write to the cache: the host gave none. */
  readonly isPrivate: boolean

  constructor(parts: ListCacheParts) {
    this.#parts = parts
    this.isPrivate = parts.cache instanceof MemoryCache
    this.#reports = new EntryReports({ logger: parts.logger, redact: (text) => text })
  }

  /** The cached list; `undefined` if there is none or the cache fails. Never throws or rejects. */
  get(): MaybePromise<EngineSnapshot | undefined> {
    const { cache, key, clock } = this.#parts
    if (this.#suspendedUntil > 0 && clock.now() < this.#suspendedUntil) return this.#last
    try {
      const found: unknown = cache.get(key)
      return isPromiseLike(found)
        ? this.#withTimeout(found, READING).then((value) => (value === FAILED ? undefined : this.#parse(value)))
        : this.#parse(found)
    } catch (error) {
      this.#failed(READING, error)
      return undefined
    }
  }

  /** Writes a list to the cache. Never rejects. */
  async set(snapshot: EngineSnapshot): Promise<void> {
    const { cache, key, ttlMs, clock } = this.#parts
    const { sequence, receivedAt: steadyAt, unreadable } = snapshot
    this.#last = snapshot
    if (clock.now() < this.#suspendedUntil) return
    const entry: CacheEntry = {
      version: 1,
      source: this.#source,
      sequence,
      steadyAt,
      receivedAt: clock.wallNow() - (clock.now() - steadyAt),
      // Made when the cache reads it. A cache that keeps the entry in memory never does.
      get engines() {
        return snapshot.engines.map(engineToRecord)
      },
      ...(unreadable === undefined ? {} : { unreadable }),
    }
    this.#parsed.set(entry, snapshot)
    try {
      const stored: unknown = cache.set(key, entry, ttlMs)
      const outcome = isPromiseLike(stored) ? await this.#withTimeout(stored, WRITING) : stored
      if (outcome !== FAILED) this.#parts.outages.works(WRITING)
    } catch (error) {
      this.#failed(WRITING, error)
    }
  }

  #parse(value: unknown): EngineSnapshot | undefined {
    const isObject = typeof value === 'object' && value !== null
    const found = isObject ? (this.#parsed.get(value) ?? parseEntry(value)) : undefined
    if (isObject && found === undefined) {
      this.#failed(READING, new TypeError('The cache returned an object that is no engine list'))
      return undefined
    }
    this.#parts.outages.works(READING)
    if (found === undefined || !('source' in found)) return found
    return found.source === this.#source ? this.#ownList(found) : this.#foreignList(found)
  }

  #ownList({ sequence, steadyAt, ...lists }: ParsedEntry): EngineSnapshot | undefined {
    if (steadyAt === undefined) return undefined
    return { ...this.#listFrom(lists), sequence, receivedAt: steadyAt }
  }

  /** Another client's list. Its age is the difference of two wall clocks, one of which may be wrong: a list from the future is not used. */
  #foreignList({ source, receivedAt, ...lists }: ParsedEntry): EngineSnapshot | undefined {
    if (this.#foreign?.source === source && this.#foreign.receivedAt === receivedAt) return this.#foreign.snapshot
    const { clock, sequence } = this.#parts
    const ageMs = clock.wallNow() - receivedAt
    if (ageMs < 0) return undefined
    // Its own number has no meaning for this client. It gets the number of a list requested now, so that every stream in it counts as load.
    const snapshot = { ...this.#listFrom(lists), sequence: sequence.next(), isForeign: true, receivedAt: clock.now() - ageMs }
    this.#foreign = { source, receivedAt, snapshot }
    return snapshot
  }

  /** The readable engines, and the entries that the source or this client could not read. */
  #listFrom(entry: Pick<ParsedEntry, 'engines' | 'unreadable'>): Pick<EngineSnapshot, 'engines' | 'unreadable'> {
    const { unreadable: before } = entry
    const { engines, unreadable: now } = engineListFrom(entry.engines, undefined, this.#reports.report)
    if (before === undefined || now === undefined) return { engines, ...((before ?? now) ? { unreadable: before ?? now } : {}) }
    return { engines, unreadable: { engines: [...before.engines, ...now.engines], streams: before.streams } }
  }

  /** Waits for the cache for at most 500 ms. If the cache takes longer, it is not used for 30 s. */
  async #withTimeout(work: PromiseLike<unknown>, label: Work): Promise<unknown> {
    const { clock, lifetime } = this.#parts
    const outcome = toPromise(work)
    outcome.catch(() => {}) // it may reject after the deadline
    try {
      return await runWithDeadline({ clock, timeoutMs: TIMEOUT_MS, signal: lifetime, label: 'the cache' }, () => outcome)
    } catch (error) {
      if (error instanceof RequestTimeoutError) this.#suspendedUntil = clock.now() + SUSPENSION_MS
      if (!lifetime.aborted) this.#failed(label, error)
      return FAILED
    }
  }

  #failed(work: Work, error: unknown): void {
    this.#parts.outages.failed(work, FAILURES[work], { error })
  }
}

/** The entry; `undefined` if `value` is no entry. A host's cache may return anything, also an object whose getters throw. */
function parseEntry(value: object): ParsedEntry | undefined {
  try {
    return readCacheEntry(value)
  } catch {
    return undefined
  }
}
