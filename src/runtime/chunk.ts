import { ConnectionError } from '../errors.ts'

const chunks = new Set<Chunk<unknown>>()

/** Loads all parts. For tests: a load takes real time, which a virtual clock does not measure. */
export async function loadChunks(): Promise<void> {
  await Promise.allSettled([...chunks].filter(({ code }) => code === undefined).map((chunk) => chunk.load()))
}

/** A part of the package that is a file of its own, and is loaded with its first use. */
export class Chunk<Code> {
  readonly #name: string
  readonly #import: () => Promise<Code>
  #code: Code | undefined
  #loading: Promise<Code> | undefined

  /**
   * @param name names the part in errors
   * @param load imports the file
   */
  constructor(name: string, load: () => Promise<Code>) {
    this.#name = name
    this.#import = load
    chunks.add(this)
  }

  /** The code; `undefined` while it is not loaded. */
  get code(): Code | undefined {
    return this.#code
  }

  /**
   * Loads the code. Callers share one import, and resume in the order of their calls.
   *
   * @throws {@link ConnectionError} if the file cannot be read. The next call tries again
   */
  load(): Promise<Code> {
    this.#loading ??= this.#import().then(
      (code) => {
        this.#code = code
        return code
      },
      (cause) => {
        this.#loading = undefined
        const message = `The part "${this.#name}" of acestream-orchestrator-client cannot be loaded. Check that its files are deployed`
        throw new ConnectionError(message, { maybeProcessed: false, cause })
      },
    )
    return this.#loading
  }
}
