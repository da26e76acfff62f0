import { createHash } from 'node:crypto'
import { type BigIntStats, closeSync, fstatSync, openSync, readSync, realpathSync, statSync, truncateSync, unlinkSync } from 'node:fs'

/** Marks a file as this library's in its header ("aoc1"), so that the store never writes to another application's database. */
export const APPLICATION_ID = 0x616f6331
/** Where the mark is in the file: https://www.sqlite.org/fileformat.html#application_id */
const APPLICATION_ID_OFFSET = 68

/**
 * Harm that another program, or the disk, did to an open state file.
 *
 * - `gone`: there is no file at the path any more.
 * - `replaced`: another file is at the path.
 * - `changed`: the file itself has other bytes, or SQLite reported damage.
 * - `log-gone`: the log beside it (`-wal`) was deleted or replaced.
 * - `log-changed`: the log has another length.
 * - `hidden`: the path cannot be read (a missing right, a failing disk).
 */
export type Harm = 'gone' | 'replaced' | 'changed' | 'log-gone' | 'log-changed' | 'hidden'

/**
 * Compares an open state file with the file at its path. SQLite writes to a deleted file without an error, and its page cache hides that a
 * file was overwritten.
 *
 * Keeps the file open for reading until {@link close}: closing any descriptor of the file releases SQLite's locks (POSIX).
 */
export class FileWatch {
  readonly #path: string
  /** The path with symbolic links resolved: where SQLite has the file open. */
  readonly #location: string
  readonly #descriptor: number
  #main: BigIntStats
  #log: BigIntStats | undefined
  #digest: string

  /** SQLite must have the file open and locked already. */
  constructor(path: string) {
    this.#path = path
    this.#location = realpathSync(path)
    this.#descriptor = openSync(this.#location, 'r')
    this.#main = fstatSync(this.#descriptor, { bigint: true })
    this.#digest = this.#digestOf()
    this.#log = statIfThere(this.#logPath)
  }

  get #logPath(): string {
    return `${this.#location}-wal`
  }

  /** Bytes in the log after the last {@link noteWrite}. */
  get logBytes(): number {
    return Number(this.#log?.size ?? 0)
  }

  /** Whether the header of the file still has the mark of this library. */
  get isMarked(): boolean {
    const mark = Buffer.alloc(4)
    return readSync(this.#descriptor, mark, 0, mark.length, APPLICATION_ID_OFFSET) === mark.length && mark.readUInt32BE() === APPLICATION_ID
  }

  /** Returns `undefined` if the file at the path is the open one, and no other program has written to it. */
  harm(): Harm | undefined {
    try {
      const main = statIfThere(this.#path)
      if (main === undefined) return 'gone'
      if (!isSame(main, this.#main)) return 'replaced'
      if (main.size !== this.#main.size) return 'changed'
      if (main.ctimeNs !== this.#main.ctimeNs) {
        // A new mode, name or time does no harm.
        if (this.#digestOf() !== this.#digest) return 'changed'
        this.#main = main
      }
      const log = statIfThere(this.#logPath)
      if (log === undefined || this.#log === undefined) return log === this.#log ? undefined : 'log-gone'
      if (!isSame(log, this.#log)) return 'log-gone'
      return log.size === this.#log.size ? undefined : 'log-changed'
    } catch {
      return 'hidden'
    }
  }

  /** Call it after this process's connection has written to the log. */
  noteWrite(): void {
    this.#log = statIfThere(this.#logPath)
  }

  /** Call it after this process's connection has merged the log into the file. */
  noteMerge(): void {
    this.#main = fstatSync(this.#descriptor, { bigint: true })
    this.#digest = this.#digestOf()
    this.noteWrite()
  }

  /**
   * Closes the connection with `close` so that no page of the log gets into a file of other content. SQLite itself does not merge the log,
   * nor delete it, if the file was moved away.
   */
  close(harm: Harm | undefined, close: () => void): void {
    const isLogUseless = harm === 'changed' || harm === 'log-changed' || ((harm === 'gone' || harm === 'replaced') && this.#isMoved())
    const isLogOurs = isLogUseless && quietly(() => isSame(statIfThere(this.#logPath), this.#log))
    if (isLogOurs === true) quietly(() => truncateSync(this.#logPath))
    close()
    quietly(() => closeSync(this.#descriptor))
    // SQLite would read it as the log of another file at the same path.
    if (isLogOurs === true) quietly(() => unlinkSync(this.#logPath))
  }

  /** Whether the file itself was moved, not only a symbolic link to it. */
  #isMoved(): boolean {
    return quietly(() => isSame(statIfThere(this.#location), this.#main)) !== true
  }

  #digestOf(): string {
    const hash = createHash('sha256')
    const chunk = Buffer.alloc(65_536)
    for (let position = 0; ; ) {
      const length = readSync(this.#descriptor, chunk, 0, chunk.length, position)
      if (length === 0) return hash.digest('base64')
      hash.update(chunk.subarray(0, length))
      position += length
    }
  }
}

const statIfThere = (path: string): BigIntStats | undefined => statSync(path, { bigint: true, throwIfNoEntry: false })

const isSame = (one: BigIntStats | undefined, other: BigIntStats | undefined): boolean =>
  one !== undefined && one.dev === other?.dev && one.ino === other.ino

/** Returns `undefined` if it throws. */
function quietly<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}
