import { InvalidArgumentError, type StoreError } from '../../errors.ts'
import { guardLogger, type Logger, silentLogger } from '../../runtime/logger.ts'
import type { MaybePromise } from '../../runtime/maybe-promise.ts'
import { expectMethods, expectOneOf, expectOptions, expectText, type NamesOf, type Resolved } from '../../runtime/validate.ts'
import { BoundedIdSet, isOtherLife } from '../bounded-id-set.ts'
import { MemoryStore } from '../memory.ts'
import type { EngineUsage, JournalEntry, LeaseRecord, Retention, SlotRequest, StateStore, StoreUser, UsageListener } from '../store.ts'
import { storeError, toStoreError } from './failures.ts'
import type { Found } from './state-file.ts'
import { ThreadedFile } from './threaded-file.ts'

/** Options of {@link SqliteStore}. */
export interface SqliteStoreOptions {
  /**
   * The file, which is made if there is none, in a directory that must exist. `':memory:'`: no file. Each process needs its own file, on a
   * local disk: locks of network drives are not reliable. 1 to 4,096 characters.
   */
  readonly path: string
  /**
   * What to do if the file cannot be used (locked, damaged, written by a newer release, not writable). `'throw'`: throw a `StoreError`.
   * `'memory'`: log a warning, leave the file as it is, and keep all state in memory.
   *
   * @default 'throw'
   */
  readonly onFailure?: 'throw' | 'memory' | undefined
  /**
   * Gets one line when state cannot be written or the file was damaged, and one line when all state is written again.
   *
   * @default the logger of the first client that uses the store
   */
  readonly logger?: Logger | undefined
}

const OPTION_NAMES: NamesOf<SqliteStoreOptions> = { path: true, onFailure: true, logger: true }
const MAX_PATH_LENGTH = 4_096
const IN_MEMORY = ':memory:'
const RENEW_INTERVAL_MS = 1_000

/**
 * Keeps the journal and the ended ids in a file, so that they survive the process. Uses `node:sqlite` and no dependency.
 *
 * A thread of its own writes the file, so that no write blocks the event loop. Methods that change the journal or the ended ids return a
 * promise: the change is on the disk when it resolves (write-ahead log, synced). Changes that are made at the same time are synced together.
 * The process stays alive until they are written. If the runtime starts no thread, the file is written on the event loop.
 *
 * Slots are in memory: they end with the process, because its viewers do. Their methods are synchronous. One process per file: a second store
 * on it, in this process or another, fails with the reason `locked` (retryable: a predecessor may still be closing).
 *
 * Do not let anything else in this process open the file (for a backup, say): closing it would release the lock (POSIX).
 *
 * After the constructor, a failure of the file never causes an error for a viewer. A change that cannot be written (disk full) is kept in
 * memory, logged once, and written with the next change that succeeds, see {@link isDurable}. If another program deletes, replaces or
 * overwrites the file, the store detects it within a second, logs it once, and writes the file anew from memory if it can. It leaves
 * another application's file at the path as it is.
 *
 * Needs Node 22.13 or newer. Node 22 prints an `ExperimentalWarning` for `node:sqlite`.
 *
 * @example
 * import { OrchestratorClient } from 'acestream-orchestrator-client'
 * import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
 *
 * const store = new SqliteStore({ path: '/var/lib/proxy/state.db' })
 * const client = new OrchestratorClient({ baseUrl, store })
 * // …
 * await client.close()
 * store.close()
 */
export class SqliteStore implements StateStore {
  /** How often the client calls {@link renew}, milliseconds. Absent if there is no file. */
  readonly renewIntervalMs?: number
  readonly #path: string
  #logger: Logger | undefined
  readonly #slots = new MemoryStore()
  #ended = new BoundedIdSet()
  /** Entries of earlier processes that were neither recovered, nor written again, nor settled since. */
  readonly #orphans = new Map<string, JournalEntry>()
  /** `undefined`: there is no file, or it could not be used, and all state is in memory. */
  readonly #file: ThreadedFile | undefined
  /** Why the file could not be used. */
  #failure: StoreError | undefined
  #isClosed = false

  /**
   * Opens the file, and blocks until this is done.
   *
   * @throws {@link StoreError} if the file cannot be used, unless `onFailure` is `'memory'`. The reason is `locked`, `corrupt` (damaged, or
   * another application's), `newer-version` or `unwritable` (read-only, no room, no such directory)
   * @throws {@link InvalidArgumentError} which names the wrong option
   */
  constructor(options: SqliteStoreOptions) {
    const resolved = resolveOptions(options)
    this.#path = resolved.path
    this.#logger = resolved.logger
    this.#file = this.#open(resolved)
    if (this.#file !== undefined) this.renewIntervalMs = RENEW_INTERVAL_MS
  }

  /**
   * Whether all changes are on the disk now, in the file at the path. It is `false` while changes cannot be written, from a deletion or
   * replacement of the file until the file is written anew, without a file, and after `close()`. Checks the file each time, and changes
   * nothing. Blocks until the changes so far are written.
   */
  get isDurable(): boolean {
    return !this.#isClosed && (this.#file?.isCurrent ?? false)
  }

  /**
   * Takes the client's logger, unless the store has one. The client calls this.
   *
   * @param user the facts about the client
   */
  attach({ logger }: StoreUser): void {
    if (this.#logger === undefined) {
      this.#logger = logger
      if (this.#failure !== undefined) this.#warnOf(this.#failure)
    }
    this.#file?.warnWithoutThread()
  }

  take(request: SlotRequest): string | undefined {
    return this.#openSlots().take(request)
  }

  promote(leaseId: string, streamId: string): boolean {
    return this.#openSlots().promote(leaseId, streamId)
  }

  occupy(containerId: string, streamId: string): void {
    this.#openSlots().occupy(containerId, streamId)
  }

  releaseLease(leaseId: string): string | undefined {
    return this.#openSlots().releaseLease(leaseId)
  }

  releaseStream(streamId: string): string | undefined {
    return this.#openSlots().releaseStream(streamId)
  }

  expire(now: number): readonly LeaseRecord[] {
    return this.#openSlots().expire(now)
  }

  usage(): ReadonlyMap<string, EngineUsage> {
    return this.#openSlots().usage()
  }

  onUsageChanged(listener: UsageListener): () => void {
    return this.#slots.onUsageChanged(listener)
  }

  claimEnd(streamId: string, retention: Retention, life = ''): MaybePromise<boolean> {
    this.#expectOpen()
    if (!this.#ended.isFree(streamId, retention, life)) return false
    // Before the claim: it forgets ids beyond the retention, and this id may be one of them.
    this.#file?.putEnded(streamId, { endedAt: retention.now, life })
    this.#ended.claim(streamId, retention, life)
    return this.#saved(true)
  }

  unclaimEnd(streamId: string): MaybePromise<void> {
    this.#expectOpen()
    this.#ended.unclaim(streamId)
    this.#file?.removeEnded(streamId)
    return this.#file?.save()
  }

  endedAmong(streamIds: readonly string[], retention: Retention): ReadonlyMap<string, string> {
    this.#expectOpen()
    return this.#ended.livesAmong(streamIds, retention)
  }

  forgetEnded(retention: Retention): MaybePromise<number> {
    this.#expectOpen()
    return this.#saved(this.#ended.forget(retention))
  }

  append(entry: JournalEntry): MaybePromise<void> {
    this.#expectOpen()
    this.#orphans.delete(entry.streamId)
    this.#file?.putEntry(entry)
    return this.#file?.save()
  }

  settle(streamId: string, life = ''): MaybePromise<void> {
    this.#expectOpen()
    const orphan = this.#orphans.get(streamId)
    if (orphan !== undefined && isOtherLife(orphan.life ?? '', life)) return
    this.#orphans.delete(streamId)
    this.#file?.removeEntry(streamId)
    return this.#file?.save()
  }

  recover(): readonly JournalEntry[] {
    this.#expectOpen()
    const entries = [...this.#orphans.values()]
    this.#orphans.clear()
    return entries
  }

  /** Checks the file, writes it anew if it was damaged, and writes changes that could not be written before. */
  check(): void {
    this.#expectOpen()
    if (this.#failure !== undefined) throw this.#failure
    if (this.#file !== undefined && !this.isDurable) throw storeError(this.#path, 'unwritable')
  }

  renew(): MaybePromise<void> {
    this.#expectOpen()
    return this.#file?.renew()
  }

  /**
   * Writes the changes that are left, closes the file and releases its lock, and blocks until this is done. Close the client first: every
   * method but this one throws a `StoreError` afterwards.
   */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#file?.close()
  }

  /** Same as {@link close}. */
  [Symbol.dispose](): void {
    this.close()
  }

  /** Takes over the rows of a dead process. No living process has them, because only this process has locked the file. */
  #takeOver({ journal, ended }: Found): void {
    for (const entry of journal) this.#orphans.set(entry.streamId, entry)
    // Oldest first: the ends of this process are newer.
    this.#ended = new BoundedIdSet([...ended, ...this.#ended], (streamId) => this.#file?.removeEnded(streamId))
  }

  #open({ path, onFailure }: ResolvedOptions): ThreadedFile | undefined {
    if (path === IN_MEMORY) return undefined
    try {
      const logger = (): Logger => this.#logger ?? silentLogger
      return new ThreadedFile({ path, logger, endedIds: () => this.#ended, onFound: (found) => this.#takeOver(found) })
    } catch (error) {
      const failure = toStoreError(path, error)
      if (onFailure === 'throw') throw failure
      this.#failure = failure
      this.#warnOf(failure)
      return undefined
    }
  }

  #warnOf(error: StoreError): void {
    const message = `State file ${this.#path} cannot be used: all state is kept in memory, and a crash loses it`
    this.#logger?.warn(message, { path: this.#path, reason: error.reason, error })
  }

  /** Resolves with the answer once all changes are written, or returns it if there is no file. */
  #saved<T>(answer: T): MaybePromise<T> {
    return this.#file?.save()?.then(() => answer) ?? answer
  }

  #openSlots(): MemoryStore {
    this.#expectOpen()
    return this.#slots
  }

  #expectOpen(): void {
    if (this.#isClosed) throw storeError(this.#path, 'unavailable')
  }
}

/** The logger stays optional: a store without one uses its client's. */
type ResolvedOptions = Resolved<Omit<SqliteStoreOptions, 'logger'>> & { readonly logger: Logger | undefined }

/** @throws {@link InvalidArgumentError} which names the wrong option */
function resolveOptions(options: SqliteStoreOptions): ResolvedOptions {
  const { path, onFailure = 'throw', logger } = expectOptions(options, OPTION_NAMES) as Partial<SqliteStoreOptions>
  const checkedPath = expectText('path', path, MAX_PATH_LENGTH)
  if (checkedPath.includes('\0')) throw new InvalidArgumentError('path', 'a path without null characters')
  expectOneOf('onFailure', onFailure, ['throw', 'memory'])
  if (logger === undefined) return { path: checkedPath, onFailure, logger: undefined }
  expectMethods('logger', logger, ['debug', 'info', 'warn', 'error'])
  return { path: checkedPath, onFailure, logger: guardLogger(logger) }
}
