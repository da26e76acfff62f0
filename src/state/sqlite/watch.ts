import { createHash } from 'node:crypto'
import { type BigIntStats, closeSync, fstatSync, openSync, readSync, realpathSync, statSync, truncateSync, unlinkSync } from 'node:fs'
import { APPLICATION_ID, APPLICATION_ID_OFFSET } from './open.ts'

/**
 * Harm that another program, or the disk, did to a state file that is open.
 *
 * - `gone`: nothing is at the path any more.
 * - `replaced`: another file is at the path.
 * - `changed`: the file itself has other bytes, or SQLite found it damaged.
 * - `log-gone`: the log beside it (`-wal`) was deleted or replaced.
 * - `log-changed`: the log has another length.
 * - `hidden`: the path cannot be looked at (a missing right, a failing disk).
 */
export type Harm = 'gone' | 'replaced' | 'changed' | 'log-gone' | 'log-changed' | 'hidden'

/**
 * Compares an open state file with the file at its path. SQLite writes to a file that was deleted without an error, and its page cache hides
 * that a file was overwritten.
 *
 * Keeps the file open for reading until {@link close}: closing any descriptor of the file releases SQLite's locks (POSIX).
 */
export class FileWatch {
  readonly #path: string
  /** Where SQLite has the file open: symbolic links resolved. */
  readonly #location: string
  readonly #descriptor: number
  #main: BigIntStats
  #log: BigIntStats | undefined
  #digest: string

  /** The file has to be open in SQLite already, and locked. */
  constructor(path: string) {
    this.#path = path
    this.#location = realpathSync(path)
    this.#descriptor = openSync(this.#location, 'r')
    this.#main = fstatSync(this.#descriptor, { bigint: true })
    this.#digest = this.#digestOf()
    this.#log = look(this.#logPath)
  }

  get #logPath(): string {
    return `${this.#location}-wal`
  }

  /** Bytes in the log after the last {@link written}. */
  get logBytes(): number {
    return Number(this.#log?.size ?? 0)
  }

  /** Whether the file is still marked as ours in its header. */
  get isMarked(): boolean {
    const mark = Buffer.alloc(4)
    return readSync(this.#descriptor, mark, 0, mark.length, APPLICATION_ID_OFFSET) === mark.length && mark.readUInt32BE() === APPLICATION_ID
  }

  /** `undefined`: the file at the path is the open one, and nobody else has written to it. */
  harm(): Harm | undefined {
    try {
      const main = look(this.#path)
      if (main === undefined) return 'gone'
      if (!isSame(main, this.#main)) return 'replaced'
      if (main.size !== this.#main.size) return 'changed'
      if (main.ctimeNs !== this.#main.ctimeNs) {
        // A new mode, name or time is no harm.
        if (this.#digestOf() !== this.#digest) return 'changed'
        this.#main = main
      }
      const log = look(this.#logPath)
      if (log === undefined || this.#log === undefined) return log === this.#log ? undefined : 'log-gone'
      if (!isSame(log, this.#log)) return 'log-gone'
      return log.size === this.#log.size ? undefined : 'log-changed'
    } catch {
      return 'hidden'
    }
  }

  /** Our own connection has written to the log. */
  written(): void {
    this.#log = look(this.#logPath)
  }

  /** Our own connection has brought the log into the file. */
  merged(): void {
    this.#main = fstatSync(this.#descriptor, { bigint: true })
    this.#digest = this.#digestOf()
    this.written()
  }

  /**
   * Calls `close`, which closes our connection, in a way that brings no page of the log into a file of other content. SQLite neither does
   * that nor deletes the log where the file was moved away.
   */
  close(harm: Harm | undefined, close: () => void): void {
    const isLogUseless = harm === 'changed' || harm === 'log-changed' || ((harm === 'gone' || harm === 'replaced') && this.#isMoved())
    const isLogOurs = isLogUseless && quietly(() => isSame(look(this.#logPath), this.#log))
    if (isLogOurs === true) quietly(() => truncateSync(this.#logPath))
    close()
    quietly(() => closeSync(this.#descriptor))
    // Beside another file it would be taken for that file's log.
    if (isLogOurs === true) quietly(() => unlinkSync(this.#logPath))
  }

  /** Not where only a symbolic link on the way to it was changed. */
  #isMoved(): boolean {
    return quietly(() => isSame(look(this.#location), this.#main)) !== true
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

/** `undefined`: there is none. */
const look = (path: string): BigIntStats | undefined => statSync(path, { bigint: true, throwIfNoEntry: false })

const isSame = (one: BigIntStats | undefined, other: BigIntStats | undefined): boolean =>
  one !== undefined && one.dev === other?.dev && one.ino === other.ino

function quietly<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}
