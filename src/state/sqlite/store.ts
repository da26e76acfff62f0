import { InvalidArgumentError, type StoreError } from '../../errors.ts'
import { harmless, type Logger, silentLogger } from '../../runtime/logger.ts'
import { expectMethods, expectOptions, expectText, type NamesOf, type Resolved } from '../../runtime/validate.ts'
import { BoundedIdSet, isOtherLife } from '../bounded-id-set.ts'
import { MemoryStore } from '../memory.ts'
import type { EngineUsage, JournalEntry, LeaseRecord, Retention, SlotRequest, StateStore, StoreUser } from '../store.ts'
import { storeError, toStoreError } from './failures.ts'
import { type Found, StateFile } from './state-file.ts'

const IN_MEMORY = ':memory:'
const RENEW_INTERVAL_MS = 1_000

/**
 * A store whose journal and ended ids survive the process, in a file on its machine: `node:sqlite`, no dependency. Each change is on the
 * disk before its method returns (write-ahead log, synced), and every method is synchronous, so each is one step.
 *
 * Let nothing else in this process open the file (a copy for a backup, say): closing it would release the lock (POSIX).
 *
 * Slots live in memory: they die with the process, which is right. One process per file; a second store on it, in this process or another,
 * fails with reason `locked` (retryable: a predecessor may still be closing).
 *
 * Once open, it never fails a viewer: a change that cannot be stored (disk full) is kept in memory, warned of once, and stored together
 * with the next one that can be, see {@link isDurable}. A file that something else deletes, replaces or overwrites is noticed within a
 * second, warned of once, and written anew from memory where possible. Another application's file at its path is left as it is.
 *
 * Needs Node 22.13 or newer; Node 22 prints an `ExperimentalWarning` for `node:sqlite`.
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
  /**
   * How often the client checks that the file is still there, and retries what could not be stored, milliseconds; absent where there is no
   * file.
   */
  readonly renewIntervalMs?: number
  readonly #path: string
  #logger: Logger | undefined
  readonly #slots = new MemoryStore()
  #ended = new BoundedIdSet()
  /** Left by earlier processes, and neither recovered nor written anew nor settled since. */
  readonly #orphans = new Map<string, JournalEntry>()
  /** `undefined`: there is none, or it could not be used, and all is in memory. */
  readonly #file: StateFile | undefined
  /** Why the file could not be used. */
  #failure: StoreError | undefined
  #isClosed = false

  /**
   * Opens the file, at once.
   *
   * @throws {@link StoreError} where the file cannot be used, unless `onFailure` is `'memory'`. Reason `locked`, `corrupt` (damaged, or
   * another application's), `newer-version` or `unwritable` (read-only, no room, no such directory)
   * @throws {@link InvalidArgumentError} where an option is wrong
   */
  constructor(options: SqliteStoreOptions) {
    const resolved = resolveOptions(options)
    this.#path = resolved.path
    this.#logger = resolved.logger
    this.#file = this.#open(resolved)
    if (this.#file !== undefined) this.renewIntervalMs = RENEW_INTERVAL_MS
  }

  /**
   * Whether all that was written is on the disk now, in the file at the path: not while it cannot be stored, nor after the file was deleted
   * or replaced until it is written anew, nor in memory, nor once closed. Looks at the file each time, and changes nothing.
   */
  get isDurable(): boolean {
    return !this.#isClosed && (this.#file?.isCurrent ?? false)
  }

  /** Logs to this client's logger from now on, unless the store has one already. */
  attach({ logger }: StoreUser): void {
    if (this.#logger !== undefined) return
    this.#logger = logger
    if (this.#failure !== undefined) this.#warnOf(this.#failure)
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

  claimEnd(streamId: string, retention: Retention, life = ''): boolean {
    this.#expectOpen()
    if (!this.#ended.isFree(streamId, retention, life)) return false
    // Put first: claiming forgets what is beyond the retention, and that may be this very id.
    this.#file?.putEnded(streamId, { endedAt: retention.now, life })
    this.#ended.claim(streamId, retention, life)
    this.#file?.save()
    return true
  }

  unclaimEnd(streamId: string): void {
    this.#expectOpen()
    this.#ended.unclaim(streamId)
    this.#file?.removeEnded(streamId)
    this.#file?.save()
  }

  endedAmong(streamIds: readonly string[], retention: Retention): ReadonlyMap<string, string> {
    this.#expectOpen()
    return this.#ended.livesAmong(streamIds, retention)
  }

  forgetEnded(retention: Retention): number {
    this.#expectOpen()
    const count = this.#ended.forget(retention)
    this.#file?.save()
    return count
  }

  append(entry: JournalEntry): void {
    this.#expectOpen()
    this.#orphans.delete(entry.streamId)
    this.#file?.putEntry(entry)
    this.#file?.save()
  }

  settle(streamId: string, life = ''): void {
    this.#expectOpen()
    const orphan = this.#orphans.get(streamId)
    if (orphan !== undefined && isOtherLife(orphan.life ?? '', life)) return
    this.#orphans.delete(streamId)
    this.#file?.removeEntry(streamId)
    this.#file?.save()
  }

  recover(): readonly JournalEntry[] {
    this.#expectOpen()
    const entries = [...this.#orphans.values()]
    this.#orphans.clear()
    return entries
  }

  /** Checks that the file is still there, and retries what could not be stored. */
  renew(): void {
    this.#expectOpen()
    this.#file?.save()
  }

  /** Stores what is left to store, and lets go of the file. Whatever is called afterwards throws a `StoreError`, but for this. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#file?.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** Takes over the rows of a dead process: nobody else has the file locked. Its ends are older than all ends from now on. */
  #takeOver({ journal, ended }: Found): void {
    for (const entry of journal) this.#orphans.set(entry.streamId, entry)
    this.#ended = new BoundedIdSet([...ended, ...this.#ended], (streamId) => this.#file?.removeEnded(streamId))
  }

  #open({ path, onFailure }: ResolvedOptions): StateFile | undefined {
    if (path === IN_MEMORY) return undefined
    try {
      const logger = (): Logger => this.#logger ?? silentLogger
      return new StateFile({ path, logger, onFound: (found) => this.#takeOver(found) })
    } catch (error) {
      const failure = toStoreError(path, error)
      if (onFailure === 'throw') throw failure
      this.#failure = failure
      this.#warnOf(failure)
      return undefined
    }
  }

  #warnOf(error: StoreError): void {
    const { reason } = error
    this.#logger?.warn('state file cannot be used: going on in memory', { path: this.#path, reason, error })
  }

  #openSlots(): MemoryStore {
    this.#expectOpen()
    return this.#slots
  }

  #expectOpen(): void {
    if (this.#isClosed) throw storeError(this.#path, 'unavailable')
  }
}

/** What a {@link SqliteStore} is made of. */
export interface SqliteStoreOptions {
  /**
   * The file; made where there is none, in a directory that has to be there. `':memory:'`: no file. Each process needs one of its own, on a
   * disk of its own machine: locks of network drives cannot be relied on.
   */
  readonly path: string
  /**
   * What becomes of a file that cannot be used (locked, damaged, written by a newer release, not writable): `'throw'` a `StoreError`, or
   * go on in `'memory'`, with a warning; the file is left as it is.
   *
   * @default 'throw'
   */
  readonly onFailure?: 'throw' | 'memory' | undefined
  /**
   * Gets one line when state cannot be stored or the file is harmed, and one when all is stored again.
   *
   * @default the `logger` of the first client that uses the store
   */
  readonly logger?: Logger | undefined
}

const OPTION_NAMES: NamesOf<SqliteStoreOptions> = { path: true, onFailure: true, logger: true }
const LONGEST_PATH = 4_096

/** A store without a logger of its own gets its client's. */
export type ResolvedOptions = Resolved<Omit<SqliteStoreOptions, 'logger'>> & { readonly logger: Logger | undefined }

/** @throws {@link InvalidArgumentError} naming the option that is wrong */
function resolveOptions(options: SqliteStoreOptions): ResolvedOptions {
  const { path, onFailure = 'throw', logger } = expectOptions(options, OPTION_NAMES) as Partial<SqliteStoreOptions>
  if (expectText('path', path, LONGEST_PATH).includes('\0')) throw new InvalidArgumentError('path', 'a path without null characters')
  if (onFailure !== 'throw' && onFailure !== 'memory') throw new InvalidArgumentError('onFailure', "'throw' or 'memory'")
  if (logger === undefined) return { path: path as string, onFailure, logger: undefined }
  expectMethods('logger', logger, ['debug', 'info', 'warn', 'error'])
  return { path: path as string, onFailure, logger: harmless(logger) }
}
