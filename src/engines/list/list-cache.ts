import * as v from 'valibot'
import { RequestTimeoutError } from '../../errors.ts'
import { type EngineRecord, EngineRecordSchema, engineListFrom, engineToRecord } from '../../orchestrator/listed-engines.ts'
import { type Entries, EntryReports, entriesSchema, nameOf, type Unreadable } from '../../orchestrator/unreadable-entries.ts'
import { withDeadline } from '../../runtime/abort.ts'
import type { Cache } from '../../runtime/cache.ts'
import type { Logger } from '../../runtime/logger.ts'
import { isPromiseLike, type MaybePromise, promiseOf } from '../../runtime/maybe-promise.ts'
import type { Outages } from '../../runtime/outages.ts'
import { randomId } from '../../runtime/random.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import type { SteadyClock } from '../../runtime/steady-clock.ts'
import type { EngineSnapshot } from './snapshot.ts'

/** What is put into the host's cache: plain JSON, so that it survives any store. */
interface Envelope {
  readonly version: 1
  /** Which client requested the list; sequence numbers mean nothing to another one. */
  readonly source: string
  readonly sequence: number
  /** When it arrived, by the steady clock of the client that requested it, which means nothing to another one. */
  readonly steadyAt?: number | undefined
  /** The same by the wall clock, for other processes. */
  readonly receivedAt: number
  readonly engines: readonly EngineRecord[]
  /** The entries that its reader had to leave out. */
  readonly unreadable?: Unreadable
}

const CachedEnginesSchema: v.GenericSchema<unknown, Entries<EngineRecord>> = entriesSchema(EngineRecordSchema, ({ containerId }) => {
  const id = nameOf(containerId)
  return id === undefined ? {} : { id }
})
const CachedEntriesSchema = v.array(
  v.object({ id: v.exactOptional(v.string()), containerId: v.exactOptional(v.string()), cause: v.string() }),
)

const EnvelopeSchema = v.object({
  version: v.literal(1),
  source: v.string(),
  sequence: v.number(),
  steadyAt: v.optional(v.number()),
  receivedAt: v.number(),
  engines: CachedEnginesSchema,
  unreadable: v.fallback(v.optional(v.object({ engines: CachedEntriesSchema, streams: CachedEntriesSchema })), undefined),
})

type Cached = v.InferOutput<typeof EnvelopeSchema>

/** A cache that is slower than this is slower than asking the orchestrator. */
const TIMEOUT_MS = 500
/** How long a cache that hung is left alone. */
const SUSPENSION_MS = 30_000

const WORK = { read: 'Reading the cache', written: 'Writing the cache' } as const
type Verb = keyof typeof WORK
/** A cache that failed, as opposed to one that has nothing. */
const FAILED = Symbol('failed')

/** What the list cache is built from. */
export interface ListCacheParts {
  cache: Cache
  key: string
  clock: SteadyClock
  sequence: Sequence
  logger: Logger
  outages: Outages
  /** Aborts with the client. */
  lifetime: AbortSignal
  /** How long an entry may be of use, milliseconds. */
  ttlMs: number
}

/** The engine list in the host's cache. A cache that throws, hangs or answers nonsense costs a request and nothing else. */
export class ListCache {
  readonly #parts: ListCacheParts
  readonly #source = randomId()
  readonly #reports: EntryReports
  /** A cache that keeps references gives back the object it got; that one need not be decoded again. */
  readonly #decoded = new WeakMap<object, EngineSnapshot>()
  /** The newest list of another client that was taken over, so that the same one is not taken for a newer one next time. */
  #foreign: { receivedAt: number; source: string; snapshot: EngineSnapshot } | undefined

  /** What was put in last: stands in for a cache that hangs. */
  #last: EngineSnapshot | undefined
  #suspendedUntil = 0

  constructor(parts: ListCacheParts) {
    this.#parts = parts
    this.#reports = new EntryReports({ logger: parts.logger, redact: (text) => text })
  }

  get(): MaybePromise<EngineSnapshot | undefined> {
    const { cache, key, clock } = this.#parts
    if (clock.now() < this.#suspendedUntil) return this.#last
    try {
      const found: unknown = cache.get(key)
      return isPromiseLike(found)
        ? this.#guard(found, 'read').then((value) => (value === FAILED ? undefined : this.#decode(value)))
        : this.#decode(found)
    } catch (error) {
      this.#warn('read', error)
      return undefined
    }
  }

  async set(snapshot: EngineSnapshot): Promise<void> {
    const { cache, key, ttlMs, clock } = this.#parts
    const { sequence, receivedAt: steadyAt, unreadable } = snapshot
    this.#last = snapshot
    if (clock.now() < this.#suspendedUntil) return
    const envelope: Envelope = {
      version: 1,
      source: this.#source,
      sequence,
      steadyAt,
      receivedAt: clock.wallNow() - (clock.now() - steadyAt),
      engines: snapshot.engines.map(engineToRecord),
      ...(unreadable === undefined ? {} : { unreadable }),
    }
    this.#decoded.set(envelope, snapshot)
    try {
      const stored: unknown = cache.set(key, envelope, ttlMs)
      const outcome = isPromiseLike(stored) ? await this.#guard(stored, 'written') : stored
      if (outcome !== FAILED) this.#parts.outages.works(WORK.written)
    } catch (error) {
      this.#warn('written', error)
    }
  }

  #decode(value: unknown): EngineSnapshot | undefined {
    const { outages } = this.#parts
    if (typeof value !== 'object' || value === null) {
      outages.works(WORK.read)
      return undefined
    }
    const known = this.#decoded.get(value)
    if (known !== undefined) {
      outages.works(WORK.read)
      return known
    }
    const parsed = parseEnvelope(value)
    if (parsed?.success !== true) {
      this.#warn('read', new TypeError('not an engine list'))
      return undefined
    }
    outages.works(WORK.read)
    return parsed.output.source === this.#source ? this.#own(parsed.output) : this.#another(parsed.output)
  }

  #own({ sequence, steadyAt, ...lists }: Cached): EngineSnapshot | undefined {
    if (steadyAt === undefined) return undefined
    return { ...this.#listFrom(lists), sequence, receivedAt: steadyAt }
  }

  /** Another client's list. Its age is the difference of two wall clocks, and one of them may be wrong: a list from the future is not used. */
  #another({ source, receivedAt, ...lists }: Cached): EngineSnapshot | undefined {
    if (this.#foreign?.source === source && this.#foreign.receivedAt === receivedAt) return this.#foreign.snapshot
    const { clock, sequence } = this.#parts
    const ageMs = clock.wallNow() - receivedAt
    if (ageMs < 0) return undefined
    // Another client's numbers mean nothing here. As if requested now: then nothing that was acknowledged is taken off its load.
    const snapshot = { ...this.#listFrom(lists), sequence: sequence.next(), isForeign: true, receivedAt: clock.now() - ageMs }
    this.#foreign = { source, receivedAt, snapshot }
    return snapshot
  }

  #listFrom({
    engines: cached,
    unreadable: before,
  }: Pick<Cached, 'engines' | 'unreadable'>): Pick<EngineSnapshot, 'engines' | 'unreadable'> {
    const { engines, unreadable: now } = engineListFrom(cached, undefined, this.#reports.report)
    if (before === undefined || now === undefined) return { engines, ...((before ?? now) ? { unreadable: before ?? now } : {}) }
    return { engines, unreadable: { engines: [...before.engines, ...now.engines], streams: before.streams } }
  }

  /** A cache that hangs costs one short wait, not one for every viewer; nor does it leave a timer when the client closes. */
  async #guard(work: PromiseLike<unknown>, verb: Verb): Promise<unknown> {
    const { clock, lifetime } = this.#parts
    const outcome = promiseOf(work)
    outcome.catch(() => {}) // the client may have closed: then nobody waits for it
    try {
      return await withDeadline({ clock, timeoutMs: TIMEOUT_MS, signal: lifetime, label: 'the cache' }, () => outcome)
    } catch (error) {
      if (error instanceof RequestTimeoutError) this.#suspendedUntil = clock.now() + SUSPENSION_MS
      if (!lifetime.aborted) this.#warn(verb, error)
      return FAILED
    }
  }

  #warn(verb: Verb, error: unknown): void {
    this.#parts.outages.failed(WORK[verb], `The engine list could not be ${verb} in the cache`, { error })
  }
}

/** `undefined` where reading it throws: a host's cache may answer with anything, a getter that throws included. */
function parseEnvelope(value: unknown): v.SafeParseResult<typeof EnvelopeSchema> | undefined {
  try {
    return v.safeParse(EnvelopeSchema, value)
  } catch {
    return undefined
  }
}
