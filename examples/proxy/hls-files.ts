import { EngineError } from './engine-request.ts'
import { HlsFile, MAX_FILE_BYTES } from './hls-file.ts'
import type { Playback } from './playback.ts'

/** How many files are kept or sent at once. */
export const MAX_FILES = 16
/** How many bytes of files are kept: twice the longest file. It bounds the memory of a session. */
export const MAX_KEPT_BYTES = 2 * MAX_FILE_BYTES

/** A file cannot be sent now, because other viewers get too many different files. */
export class BusyError extends Error {
  override readonly name = 'BusyError'
}

/** The files of a session that viewers get, or got lately. */
export class HlsFiles {
  /** The oldest one comes first. */
  readonly #kept = new Map<string, HlsFile>()

  /**
   * Returns a file. Several viewers share it.
   *
   * @param request requests the file from the engine
   * @throws {@link BusyError} if too many different files are sent at this moment
   */
  get(name: string, request: (signal: AbortSignal) => Promise<Playback>): HlsFile {
    const kept = this.#kept.get(name)
    if (kept !== undefined && !kept.hasFailed) return kept
    this.#kept.delete(name)
    this.#makeRoom()
    const file = new HlsFile(request, () => this.#freeMemory())
    this.#kept.set(name, file)
    return file
  }

  /** Ends all requests, and frees the data. */
  close(failure: EngineError): void {
    for (const file of this.#kept.values()) file.close(failure)
    this.#kept.clear()
  }

  #makeRoom(): void {
    for (const [name, file] of this.#kept) {
      if (this.#kept.size < MAX_FILES) return
      if (!file.isInUse) this.#drop(name, file)
    }
    if (this.#kept.size >= MAX_FILES) throw new BusyError(`more than ${MAX_FILES} different files are requested at once`)
  }

  /** Drops files until the others fit into the memory: first those that no viewer gets, and the oldest ones first. */
  #freeMemory(): void {
    const files = [...this.#kept]
    let keptBytes = files.reduce((sum, [, { bytes }]) => sum + bytes, 0)
    if (keptBytes <= MAX_KEPT_BYTES) return
    for (const [name, file] of files.sort(([, one], [, other]) => Number(one.isInUse) - Number(other.isInUse))) {
      if (keptBytes <= MAX_KEPT_BYTES) return
      keptBytes -= file.bytes
      this.#drop(name, file)
    }
  }

  #drop(name: string, file: HlsFile): void {
    file.close(new EngineError('other files need the memory'))
    this.#kept.delete(name)
  }
}
