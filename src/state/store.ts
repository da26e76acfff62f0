import type { Logger } from '../runtime/logger.ts'
import type { MaybePromise } from '../runtime/maybe-promise.ts'

/** An engine on which a slot may be taken. */
export interface SlotCandidate {
  readonly containerId: string
  /**
   * Ids of the live streams that the orchestrator reports on the engine, without those that this client has ended. May contain an id twice.
   */
  readonly reportedStreamIds: readonly string[]
}

/** The place of a caller among the callers of all processes that share a store. */
export interface CallerPlace {
  /** When it called, on the client's clock, milliseconds. */
  readonly since: number
  /** Whether it waits if there is no slot for it. */
  readonly isWaiting: boolean
  /** When the next waiting caller of this client called. `undefined`: no other caller waits. */
  readonly nextSince?: number | undefined
  /** Identifies the client among the clients of this process that share the store. @default '' */
  readonly clientId?: string | undefined
}

/** The argument of {@link StateStore.take}. */
export interface SlotRequest {
  /** Unique among all clients. */
  readonly leaseId: string
  /** The engines that the caller accepts, best first. Iterate before `take` returns, and only as far as needed. */
  readonly candidates: Iterable<SlotCandidate>
  /** How many slots each engine has, 1 or more. */
  readonly limit: number
  /**
   * The client's time, milliseconds. It starts as the time since the epoch and never jumps, so it may differ from the wall clock: compare
   * it only with other times of the same client.
   */
  readonly now: number
  /** When the lease expires unless it has become a stream. On the same clock as `now`. */
  readonly expiresAt: number
  /**
   * The place of the caller that gets the slot. A store with {@link StateStore.leaveLine} grants slots in the order in which the callers of all
   * processes called. `candidates` may be empty then. `undefined`: the slot is for no caller, or the caller is served in any order.
   */
  readonly place?: CallerPlace | undefined
}

/** A lease that has not become a stream. */
export interface LeaseRecord {
  readonly leaseId: string
  readonly containerId: string
  /** On the client's clock, milliseconds, as in {@link SlotRequest}. */
  readonly expiresAt: number
}

/** The slots that are taken on one engine. */
export interface EngineUsage {
  readonly leaseCount: number
  readonly streamIds: ReadonlySet<string>
}

/**
 * Gets the id of an engine and its slots, as `usage()` returns them now; `undefined`: no slot is taken there. Without an id, the slots of any
 * engine may have changed.
 */
export type UsageListener = (containerId?: string, usage?: EngineUsage) => void

/** How long, and how many, ended stream ids are remembered. */
export interface Retention {
  /** The client's time, milliseconds, as in {@link SlotRequest}. */
  readonly now: number
  /** How long an id is remembered after its end, milliseconds. */
  readonly retentionMs: number
  /** How many ids are remembered. Beyond that the oldest are forgotten first. */
  readonly max: number
}

/** A stream that the orchestrator may have. Its end must be sent sooner or later. */
export interface JournalEntry {
  readonly streamId: string
  /** The engine of the stream, if it is known. */
  readonly containerId?: string | undefined
  /** The proxy that started it. */
  readonly proxyId: string
  /** Whether the host has ended it, so that only the end must be sent. */
  readonly isOver: boolean
  /** The host's reason for the end, if it gave one. */
  readonly reason?: string | undefined
  /** Distinguishes this life of the stream id from a later one. Opaque to the store, at most 64 characters. */
  readonly life?: string | undefined
}

/** The facts about a client that its store gets. */
export interface StoreUser {
  /**
   * Identifies the orchestrator: origin and path of the client's `baseUrl`, with the host in lower case, without default port and trailing
   * slash, e.g. `http://orchestrator:8000` or `https://example.com/orchestrator`. It has no user, password, query or hash, and never holds
   * the API key: a key in the path is replaced by `***`.
   */
  readonly baseUrl: string
  /** The client's logger. Its methods never throw. */
  readonly logger: Logger
}

/**
 * Stores a client's state: slots, the ids of ended streams, and a journal of streams that must be ended. The default {@link MemoryStore}
 * loses it with the process, `SqliteStore` keeps it, and `RedisStore` shares it among a fleet of proxies.
 *
 * Implement this interface for a store of your own. It must keep three promises:
 *
 * - **Each method is one step**, also between processes: counting the slots of an engine and taking one cannot be separated, and of several
 *   claims of one end exactly one succeeds.
 * - **A slot is held by a lease or by a stream.** A lease expires. A stream does not, as long as its process lives.
 * - **A method that fails has changed nothing** that the client relies on. It rejects or throws, preferably with a {@link StoreError}. The
 *   client then waits as if all engines were full (`take`), sends the end without a claim (`claimEnd`), or calls again later.
 *
 * Methods may be synchronous or return a promise. The client checks the answers: an answer of a wrong type counts as a `StoreError` with
 * the reason `corrupt`. `describeStateStore` of `acestream-orchestrator-client/testing` tests every rule on this page.
 *
 * @example
 * import { MemoryStore, type SlotRequest } from 'acestream-orchestrator-client'
 * import { describe, it } from 'node:test'
 * import { describeStateStore } from 'acestream-orchestrator-client/testing'
 *
 * // A store of your own can begin as small as this.
 * class LoggedStore extends MemoryStore {
 *   override take(request: SlotRequest) {
 *     const containerId = super.take(request)
 *     console.log(`${request.leaseId}: ${containerId ?? 'all engines are full'}`)
 *     return containerId
 *   }
 * }
 * describeStateStore(() => new LoggedStore(), { describe, it })
 */
export interface StateStore {
  /**
   * Attaches a client. Each client calls this once, in its constructor, before any other method. Clients that share a store call it one
   * after the other. Must do no I/O.
   *
   * @throws {@link InvalidArgumentError} if the store cannot serve this client. The constructor of the client throws the same error
   */
  attach?: ((user: StoreUser) => void) | undefined
  /**
   * Takes a slot for a lease on the first candidate that has room. A candidate has room if its load is below `limit`. The load is the
   * number of different stream ids that are reported on it or hold a slot on it, plus its leases. A stream that is reported and holds a
   * slot counts once.
   *
   * @returns the `containerId` of that candidate, or `undefined` if all are full
   * @throws {@link StoreError} if the store cannot decide now. The caller waits as if all engines were full
   */
  take(request: SlotRequest): MaybePromise<string | undefined>
  /**
   * Moves the slot of a lease to a stream. The slot is never free in between.
   *
   * @returns `false` if the store does not have this lease, or no longer. Then nothing has changed
   */
  promote(leaseId: string, streamId: string): MaybePromise<boolean>
  /**
   * Takes a slot on this engine for a running stream, whether or not there is room. If the stream has a slot on another engine, that slot
   * is released.
   */
  occupy(containerId: string, streamId: string): MaybePromise<void>
  /**
   * Releases the slot of a lease.
   *
   * @returns the `containerId` of its engine, or `undefined` if there is no such lease
   */
  releaseLease(leaseId: string): MaybePromise<string | undefined>
  /**
   * Releases the slot of a stream.
   *
   * @returns the `containerId` of its engine, or `undefined` if the stream has no slot
   */
  releaseStream(streamId: string): MaybePromise<string | undefined>
  /**
   * Releases the slots of this process's leases that have expired at `now`.
   *
   * @param now the client's time, milliseconds, as in {@link SlotRequest}
   * @returns the leases whose slots it released, each once
   */
  expire(now: number): MaybePromise<readonly LeaseRecord[]>
  /**
   * Returns the slots that are taken, by engine. The client only ranks candidates with it, and `take` decides, so the slots of other
   * processes may be missing. Engines without a taken slot may be missing too. Must do no I/O. The client reads the map at once and does
   * not keep it.
   */
  usage(): MaybePromise<ReadonlyMap<string, EngineUsage>>
  /**
   * Claims the end of a stream, so that one process sends it.
   *
   * A claim of another life replaces the existing claim, and succeeds. If one of the two lives is not known, they count as the same.
   *
   * @param life distinguishes this life of the id from a later one. Opaque to the store, at most 64 characters. @default '': not known
   * @returns `true` for the first claim within the retention, `false` for each further one
   */
  claimEnd(streamId: string, retention: Retention, life?: string): MaybePromise<boolean>
  /**
   * As {@link claimEnd}, and if the claim succeeds also as {@link append} with this entry, in one step. A store over a network has this method to
   * save a round trip.
   *
   * @default the client calls both methods
   */
  claimEndWith?: ((entry: JournalEntry, retention: Retention, life: string) => MaybePromise<boolean>) | undefined
  /** Withdraws a claim: the stream starts again, or its end was not delivered. The next claim succeeds. */
  unclaimEnd(streamId: string): MaybePromise<void>
  /** Returns the ids among these whose end was claimed within the retention, each with the claimed life (`''`: not known). */
  endedAmong(streamIds: readonly string[], retention: Retention): MaybePromise<ReadonlyMap<string, string>>
  /** Forgets ended ids beyond the retention, oldest first. Returns how many. */
  forgetEnded(retention: Retention): MaybePromise<number>
  /**
   * Writes an entry of the journal, before the start of a stream is sent and again when the stream is over. Replaces an entry of the same
   * id, whichever process wrote it. If the store is durable, the entry is on the disk when this resolves.
   */
  append(entry: JournalEntry): MaybePromise<void>
  /**
   * Deletes an entry of the journal: the orchestrator acknowledged the end of the stream, or never accepted its start. An entry that this
   * process wrote or recovered is always deleted. An entry of another process is deleted if it is of this life, or if one of the two lives
   * is not known. Otherwise it stays, because another process has announced the stream again since. An unknown id is no error.
   *
   * @param life as in {@link JournalEntry}. @default '': not known
   */
  settle(streamId: string, life?: string): MaybePromise<void>
  /**
   * Makes the entries of dead processes this process's own, and returns them in the order in which they were written. Each is returned
   * once, to one process, which must settle it. If that process dies too, the entry is returned to another. Entries of living processes do
   * not change.
   */
  recover(): MaybePromise<readonly JournalEntry[]>
  /**
   * Finds out whether the store works now, for a diagnosis. Changes nothing.
   *
   * @throws {@link StoreError} if it does not
   * @default a diagnosis calls `usage` and `endedAmong`, which may succeed without the server of the store
   */
  check?: (() => MaybePromise<void>) | undefined
  /** How often `renew` must be called, milliseconds, 0 or more. @default never */
  readonly renewIntervalMs?: number | undefined
  /**
   * Shows that this process lives, and renews all that it holds. Must not restore anything that was released or settled. Called at least
   * every `renewIntervalMs` while the client is used.
   */
  renew?: (() => MaybePromise<void>) | undefined
  /**
   * Calls `listener` when another process has released a slot, as far as the store can detect it. If another process has settled a stream,
   * it is called with the id of the stream: engine lists that were requested before may still contain it.
   *
   * @returns a function that removes the listener
   */
  onSlotFreed?: ((listener: (settledStreamId?: string) => void) => () => void) | undefined
  /**
   * No caller of this client waits for a slot any more. A store has this method if it serves the waiting callers of all processes in the order
   * in which they called, see {@link SlotRequest.place}. The listeners of {@link onSlotFreed} are then called in the process whose turn it is,
   * and with the id of a settled stream in each process.
   *
   * @param clientId as in {@link CallerPlace}. @default ''
   * @default the store grants a slot to the first process that requests it
   */
  leaveLine?: ((clientId?: string) => void) | undefined
  /**
   * Calls `listener` each time that a method has changed the slots that `usage()` returns, before that method returns or its promise settles.
   * Must do no I/O. The client then reads `usage()` once for each engine list, and finds the best engine without reading all engines. In a
   * subclass that replaces `usage`, the inherited method is not used.
   *
   * @returns a function that removes the listener
   * @default the client reads `usage()` and all engines for each caller
   */
  onUsageChanged?: ((listener: UsageListener) => () => void) | undefined
}

/** The methods that every store must have. */
export const STORE_METHODS: readonly (keyof StateStore)[] = [
  'take',
  'promote',
  'occupy',
  'releaseLease',
  'releaseStream',
  'expire',
  'usage',
  'claimEnd',
  'unclaimEnd',
  'endedAmong',
  'forgetEnded',
  'append',
  'settle',
  'recover',
]
