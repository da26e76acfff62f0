import type { Resolved } from '../../validate.ts'
import { EndedIds, isOtherLife, livesAmong } from '../ended-ids.ts'
import { MemoryStore } from '../memory.ts'
import type { EngineUsage, JournalEntry, LeaseRecord, Retention, SlotRequest, StateStore } from '../store.ts'
import { storeError, toStoreError } from './failures.ts'
import { resolveOptions, type SqliteStoreOptions } from './options.ts'
import { StateFile } from './state-file.ts'

const IN_MEMORY = ':memory:'
const RENEW_INTERVAL_MS = 10_000

/**
 * A store whose journal and ended ids survive the process, in a file on its machine: `node:sqlite`, no dependency. Each change is on the
 * disk before its method returns (write-ahead log, synced), and every method is synchronous, so each is one step.
 *
 * Slots live in memory: they die with the process, which is right. One process per file; a second store on it, in this process or another,
 * fails with reason `locked` (retryable: a predecessor may still be closing).
 *
 * Once open, it never fails a viewer: a change that cannot be stored (disk full) is kept in memory, warned of once, and stored together
 * with the next one that can be, see {@link isDurable}.
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
  /** How often what could not be stored is tried again, if nothing else is written, milliseconds; absent where there is no file. */
  readonly renewIntervalMs?: number
  readonly #path: string
  readonly #slots = new MemoryStore()
  readonly #ended: EndedIds
  /** Left by earlier processes, and neither recovered nor written anew nor settled since. */
  readonly #orphans: Map<string, JournalEntry>
  /** `undefined`: there is none, or it could not be used, and all is in memory. */
  readonly #file: StateFile | undefined
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
    const file = openFile(resolved)
    this.#file = file
    if (file !== undefined) this.renewIntervalMs = RENEW_INTERVAL_MS
    this.#orphans = new Map(file?.journalFound.map((entry) => [entry.streamId, entry]))
    this.#ended = new EndedIds(file?.endedFound, (streamId) => file?.removeEnded(streamId))
  }

  /** Whether all that was written is on the disk now: not while it cannot be stored, nor in memory, nor once closed. */
  get isDurable(): boolean {
    return !this.#isClosed && (this.#file?.isCurrent ?? false)
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
    return livesAmong(this.#ended, streamIds, retention)
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

  /** Tries once more to store what could not be stored. */
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

  #openSlots(): MemoryStore {
    this.#expectOpen()
    return this.#slots
  }

  #expectOpen(): void {
    if (this.#isClosed) throw storeError(this.#path, 'unavailable')
  }
}

function openFile({ path, onFailure, logger }: Resolved<SqliteStoreOptions>): StateFile | undefined {
  if (path === IN_MEMORY) return undefined
  try {
    return new StateFile(path, logger)
  } catch (error) {
    const failure = toStoreError(path, error)
    if (onFailure === 'throw') throw failure
    logger.warn('state file cannot be used: going on in memory', { path, reason: failure.reason, error: failure })
    return undefined
  }
}
