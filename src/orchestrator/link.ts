import type { Generation } from '../model/diagnosis.ts'
import { waitUnlessAborted } from '../runtime/abort.ts'
import { Chunk } from '../runtime/chunk.ts'
import type { CallOptions } from './requester.ts'
import { configuredDialect, type Dialect } from './routes.ts'
import type { Wire, WireParts } from './wire.ts'

/** The code that sends requests and reads answers. */
export const wireChunk: Chunk<typeof import('./wire.ts')> = new Chunk('requests', () => import('./wire.ts'))

/** The way to the orchestrator. Loads the code that sends requests with the first of them. */
export class Link {
  readonly #parts: WireParts
  #wire: Wire | undefined
  /** The generation that the last diagnosis found. */
  diagnosed: Generation | undefined

  constructor(parts: WireParts) {
    this.#parts = parts
  }

  /** The dialect; `undefined` while it is not known. */
  get dialect(): Dialect | undefined {
    const { dialect, baseUrl } = this.#parts
    return this.#wire === undefined ? configuredDialect(dialect, baseUrl) : this.#wire.dialects.known
  }

  /** The generation of the orchestrator; `undefined` while no answer has shown it. */
  get generation(): Generation | undefined {
    return this.#wire?.calls.generation ?? this.diagnosed
  }

  /** Whether the transport can hold a connection open. */
  get canStream(): boolean {
    return typeof this.#parts.transport.stream === 'function'
  }

  /**
   * Calls `use` with the wire: at once if it is loaded.
   *
   * @throws the reason of the signal, or the error of the load
   */
  use<T>(use: (wire: Wire) => Promise<T>, { signal }: CallOptions = {}): Promise<T> {
    if (this.#wire !== undefined) return use(this.#wire)
    if (wireChunk.code !== undefined) return use(this.#make(wireChunk.code))
    return waitUnlessAborted(wireChunk.load(), signal).then((code) => use(this.#make(code)))
  }

  #make(code: typeof import('./wire.ts')): Wire {
    this.#wire ??= new code.Wire(this.#parts)
    return this.#wire
  }
}
