import { EngineError } from './engine-request.ts'
import type { Playback } from './playback.ts'

/** Maximum length of a segment: 25 s at 10 Mbit/s. */
export const MAX_FILE_BYTES = 32 * 1024 * 1024

/** A file of a playlist, such as a segment. It is read from the engine once, for all viewers who request it. */
export class HlsFile {
  /** Content type that the engine sent. Known when the first bytes are. */
  contentType = 'video/mp2t'
  readonly #aborter = new AbortController()
  readonly #chunks: Buffer[] = []
  readonly #onMore: () => void
  #bytes = 0
  #isComplete = false
  #failure: unknown
  #readers = 0
  #more = Promise.withResolvers<void>()

  /**
   * @param open requests the file
   * @param onMore called when more bytes are kept
   */
  constructor(open: (signal: AbortSignal) => Promise<Playback>, onMore: () => void) {
    this.#onMore = onMore
    void this.#load(open)
  }

  /** Whether a viewer gets the file now. */
  get isInUse(): boolean {
    return this.#readers > 0
  }

  /** Number of bytes that are kept. */
  get bytes(): number {
    return this.#bytes
  }

  /** Whether the file can not be read to its end. */
  get hasFailed(): boolean {
    return this.#failure !== undefined
  }

  /** Gives a viewer the file from its beginning. The request to the engine ends with the last viewer who leaves. */
  async *read(signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    this.#readers++
    const wake = (): void => this.#wake()
    signal.addEventListener('abort', wake)
    try {
      for (let index = 0; ; ) {
        signal.throwIfAborted()
        const chunk = this.#chunks[index]
        if (chunk !== undefined) {
          index++
          yield chunk
        } else if (this.#failure !== undefined) {
          throw this.#failure
        } else if (this.#isComplete) {
          return
        } else {
          await this.#more.promise
        }
      }
    } finally {
      signal.removeEventListener('abort', wake)
      this.#readers--
      if (this.#readers === 0 && !this.#isComplete) this.close(new EngineError('all viewers of the file have left'))
    }
  }

  /** Ends the request to the engine, and frees the data. */
  close(reason: EngineError): void {
    this.#failure ??= reason
    this.#chunks.length = 0
    this.#bytes = 0
    this.#aborter.abort(reason)
    this.#wake()
  }

  async #load(open: (signal: AbortSignal) => Promise<Playback>): Promise<void> {
    try {
      const { contentType, first, chunks, close } = await open(this.#aborter.signal)
      this.contentType = contentType
      this.#aborter.signal.addEventListener('abort', close, { once: true })
      if (this.#aborter.signal.aborted) close()
      for (let next: IteratorResult<Buffer, void> = { value: first }; !next.done; next = await chunks.next()) {
        if (this.#bytes + next.value.length > MAX_FILE_BYTES)
          throw new EngineError(`the engine sent a file of more than ${MAX_FILE_BYTES} bytes`)
        if (this.#failure !== undefined) return
        this.#chunks.push(next.value)
        this.#bytes += next.value.length
        this.#onMore()
        this.#wake()
      }
      this.#isComplete = this.#failure === undefined
      this.#wake()
    } catch (error) {
      this.close(error instanceof EngineError ? error : new EngineError('the engine sent no file', { cause: error }))
    }
  }

  #wake(): void {
    this.#more.resolve()
    this.#more = Promise.withResolvers()
  }
}
