import type { Logger } from '../runtime/logger.ts'
import type { MaybePromise } from '../runtime/maybe-promise.ts'

/** An engine that a slot may be taken on. */
export interface SlotCandidate {
  readonly containerId: string
  /** Ids of the streams live on the engine as the orchestrator reports them, less those ended here. */
  readonly reportedStreamIds: readonly string[]
}

/** A slot wanted. */
export interface SlotRequest {
  readonly leaseId: string
  /** The engines that will do, best first. To be read before `take` returns, as far as needed. */
  readonly candidates: Iterable<SlotCandidate>
  /** Slots each engine has in all. */
  readonly limit: number
  /** The client's time, milliseconds. It begins as the time since the epoch, and never steps: compare it with no other clock. */
  readonly now: number
  /** As `now`; the lease is given back then unless it became a stream. */
  readonly expiresAt: number
}

/** A lease without a stream yet. */
export interface LeaseRecord {
  readonly leaseId: string
  readonly containerId: string
  readonly expiresAt: number
}

/** What is taken on one engine. */
export interface EngineUsage {
  readonly leaseCount: number
  readonly streamIds: ReadonlySet<string>
}

/** How long, and how many, ended stream ids are remembered. */
export interface Retention {
  /** The client's time, as in {@link SlotRequest}. */
  readonly now: number
  readonly retentionMs: number
  readonly max: number
}

/** A stream that the orchestrator may know of, and that somebody has to end there some day. */
export interface JournalEntry {
  readonly streamId: string
  /** Its engine, where that is known. */
  readonly containerId?: string | undefined
  /** Which proxy started it. */
  readonly proxyId: string
  /** Whether its host has ended it, so that only telling so is left. */
  readonly isOver: boolean
  /** Why, if its host said so. */
  readonly reason?: string | undefined
  /** Distinguishes this life of the stream id from a later one; opaque to the store, at most 64 characters. */
  readonly life?: string | undefined
}

/** The client that uses a store, as far as the store may know it. */
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
 * What the client remembers: slots, ended ids, and a journal of streams to be ended. The default keeps it in this process. Another
 * implementation must keep each method atomic: looking and taking are one step, and an end is claimed once, however many processes ask.
 * `describeStateStore` of `…/testing` proves that one does.
 *
 * A slot is held by a lease, which expires, or by a stream, which does not, as long as its process lives. A method that fails rejects or
 * throws, and has changed nothing that the client relies on.
 */
export interface StateStore {
  /**
   * Introduces a client to its store. Each client calls this once, in its constructor, before any other method; clients that share a store
   * call it one after the other. Does no I/O.
   *
   * @throws {@link InvalidArgumentError} if the store cannot serve this client. The constructor of the client throws the same error
   */
  attach?: ((user: StoreUser) => void) | undefined
  /**
   * Takes a slot on the first candidate with room: the union of its `reportedStreamIds` and the stream ids live there, plus its leases,
   * stays below `limit`. A union of ids, since a stream seen from both sides counts once. Answers that engine's id, or `undefined` where
   * all are full.
   *
   * @throws {@link StoreError} where it cannot tell just now; the caller waits, as for capacity
   */
  take(request: SlotRequest): MaybePromise<string | undefined>
  /** Hands a lease's slot to a stream. `false`: there is no such lease (any more); nothing was changed. */
  promote(leaseId: string, streamId: string): MaybePromise<boolean>
  /** Counts a stream that runs whether or not there is room. One that has a slot elsewhere moves. */
  occupy(containerId: string, streamId: string): MaybePromise<void>
  /** Gives a lease's slot back. Answers the engine's id, or `undefined` where there is no such lease. */
  releaseLease(leaseId: string): MaybePromise<string | undefined>
  /** Gives a stream's slot back. Answers the engine's id, or `undefined` where the stream has no slot. */
  releaseStream(streamId: string): MaybePromise<string | undefined>
  /** Takes out and answers the leases of this process whose time is up at `now`. */
  expire(now: number): MaybePromise<readonly LeaseRecord[]>
  /**
   * What is taken, by engine, as far as it is known without asking anybody; engines with nothing taken may be absent. It ranks candidates;
   * `take` decides. Read at once, not kept.
   */
  usage(): MaybePromise<ReadonlyMap<string, EngineUsage>>
  /**
   * Claims the end of a stream: `true` for the first claim within the retention, `false` for every further one.
   *
   * `life` distinguishes this life of the id from a later one: opaque to the store, at most 64 characters. A claim of another life takes the
   * place of the claim that is there, and succeeds. A claim without a life, or one that meets a claim without a life, is of the same life.
   *
   * @param life default `''`: not known
   */
  claimEnd(streamId: string, retention: Retention, life?: string): MaybePromise<boolean>
  /** Forgets that a stream was ended, since it starts again or its end was not delivered. */
  unclaimEnd(streamId: string): MaybePromise<void>
  /** Of these ids those whose end is claimed within the retention, each with the life that was claimed; `''` where that is not known. */
  endedAmong(streamIds: readonly string[], retention: Retention): MaybePromise<ReadonlyMap<string, string>>
  /** Forgets ended ids beyond the retention, oldest first. Answers how many. */
  forgetEnded(retention: Retention): MaybePromise<number>
  /** Writes down a stream before its start is sent, and again when it is over. An entry of the same id is replaced, whoever wrote it. */
  append(entry: JournalEntry): MaybePromise<void>
  /**
   * Strikes a stream out: the orchestrator acknowledged its end, or never accepted its start. An entry that this process wrote or took over
   * is struck out whatever its life is. An entry of another process is struck out if it is of this life, or if one of the two lives is not
   * known. Otherwise it is kept: another process has announced the stream again since. Unknown ids are no error.
   *
   * @param life default `''`: not known. As in {@link JournalEntry}
   */
  settle(streamId: string, life?: string): MaybePromise<void>
  /**
   * Takes over the entries of processes that died, in the order in which they were written: each is answered once, to one process, which
   * settles it or dies in turn. Entries of processes that live are left alone.
   */
  recover(): MaybePromise<readonly JournalEntry[]>
  /** How often `renew` is to be called, milliseconds. @default never */
  readonly renewIntervalMs?: number | undefined
  /**
   * Reports that this process lives, for itself and all that it holds. Brings back nothing that was released or settled. Called at least
   * every `renewIntervalMs` while the client is used.
   */
  renew?: (() => MaybePromise<void>) | undefined
  /**
   * Calls `listener` when another process has given a slot back, while it can; and with a stream's id when one has settled that: lists
   * requested before show it in vain. Answers what undoes that.
   */
  onSlotFreed?: ((listener: (settledStreamId?: string) => void) => () => void) | undefined
}

/** The methods of every store. */
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
