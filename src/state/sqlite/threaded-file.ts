import { resolve } from 'node:path'
import type { MaybePromise } from '../../runtime/maybe-promise.ts'
import type { EndedIdRecord } from '../bounded-id-set.ts'
import type { JournalEntry } from '../store.ts'
import { storeError, toStoreError } from './failures.ts'
import { FileThread } from './file-thread.ts'
import { type Found, StateFile, type StateFileParts } from './state-file.ts'
import { applyChange, type Change, type FromThread, toError } from './thread-messages.ts'

/** Dependencies and options of {@link ThreadedFile}. */
export interface ThreadedFileParts extends StateFileParts {
  /** All ended ids that the file should have, oldest first. */
  readonly endedIds: () => Iterable<readonly [streamId: string, ended: EndedIdRecord]>
}

/** Changes that are written in one transaction, and the promise of the callers that wait for it. */
interface Batch extends PromiseWithResolvers<void> {
  readonly changes: Change[]
}

/**
 * A {@link StateFile} in a thread of its own, so that no write blocks the event loop. The changes of one turn are written in one transaction,
 * and so are all changes that are made while the thread writes.
 *
 * If no thread can be started here, or the thread ends unexpectedly, the file is written on the event loop.
 */
export class ThreadedFile {
  readonly #parts: ThreadedFileParts
  #thread: FileThread | undefined
  /** The file, if there is no thread. `undefined`: it cannot be opened now. */
  #file: StateFile | undefined
  /** The entries that the file should have, in the order of writing, for the case that the thread ends. */
  readonly #entries = new Map<string, JournalEntry>()
  /** When the thread ended: ids of this store's entries that may be in the file. */
  #maybeStored: ReadonlySet<string> = new Set()
  /** Not posted yet. */
  #next: Batch | undefined
  /** Not confirmed by the thread yet, the oldest first. */
  #posted: Batch[] = []
  /** The last answer of the thread. */
  #isCurrent = false
  /** Why the thread could not open the file. */
  #failure: Error | undefined
  #isOpen = false
  /** Whether the log says that the file is written on the event loop. */
  #isSlow = false
  /** Whether the log says that changes cannot be written. */
  #isWarned = false

  /** Opens the file, and blocks meanwhile. @throws {@link StoreError} if it cannot be used */
  constructor(parts: ThreadedFileParts) {
    // Absolute, because the process may change its working directory.
    this.#parts = { ...parts, path: resolve(parts.path) }
    const onMessage = (message: FromThread): void => this.#onMessage(message)
    const onDeath = (cause: unknown): void => this.#onDeath(cause)
    this.#thread = FileThread.start(this.#parts.path, { onMessage, onDeath })
    if (this.#thread === undefined) this.#file = new StateFile(this.#parts)
    else if (!this.#isOpen) {
      this.#thread.end()
      throw this.#failure ?? storeError(this.#parts.path, 'unavailable', { detail: 'the thread that opens it does not answer' })
    }
  }

  /** Whether all changes are in the file at the path now. Changes nothing. Blocks until the changes are written. */
  get isCurrent(): boolean {
    if (this.#thread === undefined) return this.#file?.isCurrent ?? false
    this.#isCurrent = false
    this.#post()
    this.#thread.ask('check')
    return this.#isCurrent
  }

  /** Warns once if no thread could be started. */
  warnWithoutThread(): void {
    if (this.#thread !== undefined || this.#isSlow) return
    this.#isSlow = true
    const { path, logger } = this.#parts
    logger().warn(`State file ${path} is written on the event loop, because no thread could be started: each write delays all viewers`, {
      path,
    })
  }

  putEntry(entry: JournalEntry): void {
    // Replaced, not only set: the order is that of the last writes.
    this.#entries.delete(entry.streamId)
    this.#entries.set(entry.streamId, entry)
    this.#change(['putEntry', entry])
  }

  removeEntry(streamId: string): void {
    this.#entries.delete(streamId)
    this.#change(['removeEntry', streamId])
  }

  putEnded(streamId: string, ended: EndedIdRecord): void {
    this.#change(['putEnded', streamId, ended])
  }

  removeEnded(streamId: string): void {
    this.#change(['removeEnded', streamId])
  }

  /**
   * Writes all unsaved changes, or keeps them for the next call, see {@link StateFile.save}. The promise resolves when that is done, and never
   * rejects.
   */
  save(): MaybePromise<void> {
    if (this.#thread === undefined) return this.#file?.save()
    return this.#batch().promise
  }

  /** Like {@link save}. Also opens the file again, if it could not be opened when the thread had ended. */
  renew(): MaybePromise<void> {
    if (this.#thread === undefined && this.#file === undefined) this.#openHere()
    return this.save()
  }

  /** Writes the changes that are left and closes the file. Blocks until that is done. The thread ends. */
  close(): void {
    if (this.#thread === undefined) {
      void this.renew()
      this.#file?.close()
      return
    }
    this.#post()
    this.#thread.ask('close')
    this.#thread.end()
    this.#resolveAll()
  }

  #change(change: Change): void {
    if (this.#thread !== undefined) this.#batch().changes.push(change)
    else if (this.#file !== undefined) applyChange(this.#file, change)
  }

  /** The batch that is posted next: at the end of this turn, or when the thread has written the one before. */
  #batch(): Batch {
    if (this.#next === undefined) {
      this.#next = { changes: [], ...Promise.withResolvers<void>() }
      if (this.#posted.length === 0) queueMicrotask(() => this.#post())
    }
    return this.#next
  }

  #post(): void {
    const batch = this.#next
    if (batch === undefined || this.#thread === undefined) return
    this.#next = undefined
    this.#posted.push(batch)
    this.#thread.post({ kind: 'write', changes: batch.changes })
    this.#thread.keepAlive(true)
  }

  #onMessage(message: FromThread): void {
    switch (message.kind) {
      case 'opened':
        this.#isOpen = true
        this.#takeOver(message.found)
        break
      case 'failed':
        this.#failure = toError(message.failure)
        break
      case 'found':
        this.#takeOver(this.#unknownAmong(message.found))
        break
      case 'line':
        this.#log(message)
        break
      case 'saved':
        this.#posted.shift()?.resolve()
        if (this.#next === undefined) this.#thread?.keepAlive(this.#posted.length > 0)
        else this.#post()
        break
      case 'current':
        this.#isCurrent = message.isCurrent
    }
  }

  #log({ level, message, failure }: Extract<FromThread, { kind: 'line' }>): void {
    const fields = failure === undefined ? {} : { reason: failure.reason, error: toError(failure) }
    this.#parts.logger()[level](message, { path: this.#parts.path, ...fields })
  }

  #takeOver(found: Found): void {
    for (const entry of found.journal) this.#entries.set(entry.streamId, entry)
    this.#parts.onFound(found)
  }

  /** Leaves out the rows that a later batch changes. The thread finds rows while it writes the oldest batch. */
  #unknownAmong({ journal, ended }: Found): Found {
    const changed = new Set(this.#unconfirmed.slice(1).flatMap(({ changes }) => changes.map(idOf)))
    return {
      journal: journal.filter(({ streamId }) => !changed.has(streamId)),
      ended: ended.filter(([streamId]) => !changed.has(streamId)),
    }
  }

  get #unconfirmed(): readonly Batch[] {
    return this.#next === undefined ? this.#posted : [...this.#posted, this.#next]
  }

  #onDeath(cause: unknown): void {
    const { path, logger } = this.#parts
    this.#thread = undefined
    this.#isSlow = true
    const error = storeError(path, 'unavailable', { detail: 'the thread that writes it has ended unexpectedly', cause })
    logger().warn(`${error.message}. It is written on the event loop from now on`, { path, reason: error.reason, error })
    this.#maybeStored = new Set([...this.#entries.keys(), ...this.#unconfirmed.flatMap(({ changes }) => changes.map(idOf))])
    this.#openHere()
    this.#resolveAll()
  }

  /** Opens the file on the event loop after the thread has ended, and writes it anew from memory. */
  #openHere(): void {
    const { path, logger, onFound } = this.#parts
    let found: Found | undefined
    const keepFirst = (rows: Found): void => {
      if (found === undefined) found = rows
      else onFound(rows)
    }
    try {
      const file = new StateFile({ ...this.#parts, onFound: keepFirst })
      this.#rewrite(file, found ?? { journal: [], ended: [] })
      this.#file = file
      if (this.#isWarned) logger().info(`State file ${path} is written again: all changes are stored`, { path })
    } catch (cause) {
      if (this.#isWarned) return
      this.#isWarned = true
      const error = toStoreError(path, cause)
      const message = `State file ${path} cannot be written: changes are kept in memory until a write succeeds`
      logger().warn(message, { path, reason: error.reason, error })
    }
  }

  /** Writes everything that the file should have. Takes over the entries that another process has written since the thread ended. */
  #rewrite(file: StateFile, { journal, ended }: Found): void {
    const isOurs = (streamId: string): boolean => this.#entries.has(streamId) || this.#maybeStored.has(streamId)
    this.#parts.onFound({ journal: journal.filter(({ streamId }) => !isOurs(streamId)), ended: [] })
    for (const { streamId } of journal) if (isOurs(streamId)) file.removeEntry(streamId)
    for (const [streamId] of ended) file.removeEnded(streamId)
    for (const entry of this.#entries.values()) file.putEntry(entry)
    for (const [streamId, record] of this.#parts.endedIds()) file.putEnded(streamId, record)
    this.#entries.clear()
    file.save()
  }

  #resolveAll(): void {
    for (const batch of this.#unconfirmed) batch.resolve()
    this.#posted = []
    this.#next = undefined
  }
}

const idOf = ([, row]: Change): string => (typeof row === 'string' ? row : row.streamId)
