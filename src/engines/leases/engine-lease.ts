import type { Engine, EngineAddress } from '../../model/engine.ts'
import type { EngineLease, FailOptions } from '../../model/lease.ts'
import type { EndableStream, EndResult, StreamHandle, StreamPlayback, StreamStart, StreamState } from '../../model/stream.ts'
import { checkOptions, FAIL_OPTIONS, REQUEST_OPTIONS } from '../../options/resolve.ts'
import { toStartEvent } from '../../options/stream-start.ts'
import { showAs } from '../../runtime/platform.ts'
import type { KeepAlive } from '../../runtime/timers.ts'

/** Operations of the lease registry on a {@link HeldLease}. */
export interface LeaseOperations {
  startStream(lease: HeldLease, start: StreamStart, options: { readonly signal: AbortSignal | undefined }): Promise<StreamHandle>
  /** Returns `undefined` if the lease is released already. */
  releaseNow(lease: HeldLease): Promise<void> | undefined
  fail(lease: HeldLease, cause: unknown, key: string | undefined): Promise<void>
  /** Converts a time of the client's steady clock to the wall clock as it is now. */
  wallTimeOf(steadyMs: number): number
}

/** The latest time that a `Date` can hold. A lease with a longer `leaseTtlMs` never expires. */
const LATEST_DATE_MS = 8.64e15

/** Dependencies and content of a {@link HeldLease}. */
export interface HeldLeaseParts {
  id: string
  /** The engine with the address at which the host reaches it. */
  engine: Engine
  /** The engine as the orchestrator listed it. */
  listed: Engine
  /** When the lease expires, milliseconds by the client's steady clock. */
  expiresAtMs: number
  operations: LeaseOperations
  alive: KeepAlive
}

/** A lease that holds a slot on a listed engine. It checks the host's arguments; the registry does the work. */
export class HeldLease implements EngineLease {
  readonly isFallback = false
  readonly id: string
  readonly engine: Engine
  /** The engine as the orchestrator listed it. */
  readonly listed: Engine
  /** When the lease expires, milliseconds by the client's steady clock. It may be later than any `Date`. */
  readonly expiresAtMs: number
  /** The same time by the wall clock, since the host first asked for it. */
  #expiresOn: number | undefined
  readonly #operations: LeaseOperations
  readonly #alive: KeepAlive

  constructor({ id, engine, listed, expiresAtMs, operations, alive }: HeldLeaseParts) {
    this.id = id
    this.engine = engine
    this.listed = listed
    this.expiresAtMs = expiresAtMs
    this.#operations = operations
    this.#alive = alive
  }

  get expiresAt(): Date {
    this.#expiresOn ??= this.#operations.wallTimeOf(this.expiresAtMs)
    return new Date(Math.min(this.#expiresOn, LATEST_DATE_MS))
  }

  async startStream(start: StreamStart, options: { signal?: AbortSignal | undefined } = {}): Promise<StreamHandle> {
    return await this.#alive.during(this.#operations.startStream(this, start, { signal: signalOf(options) }))
  }

  async release(): Promise<void> {
    const releasing = this.#operations.releaseNow(this)
    if (releasing !== undefined) await this.#alive.during(releasing)
  }

  async fail(cause?: unknown, options: FailOptions = {}): Promise<void> {
    const { key } = checkOptions(FAIL_OPTIONS, options)
    return this.#alive.during(this.#operations.fail(this, cause, key))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release()
  }
}

/** A lease on `fallbackEngine`, while the orchestrator cannot be reached. It holds no slot, and no event about it is sent to the orchestrator. */
export class FallbackLease implements EngineLease {
  readonly isFallback = true
  readonly id: string
  readonly engine: Engine
  readonly #expiresAt: number

  /** @param expiresAt milliseconds by the wall clock; nothing happens at this time */
  constructor(id: string, address: EngineAddress, expiresAt: number) {
    this.id = id
    this.#expiresAt = expiresAt
    this.engine = Object.freeze({
      ...address,
      containerId: '',
      healthStatus: 'unknown',
      forwarded: false,
      draining: false,
      streamIds: Object.freeze([]),
      streamCount: 0,
      labels: Object.freeze({}),
    })
  }

  get expiresAt(): Date {
    return new Date(this.#expiresAt)
  }

  async startStream(start: StreamStart, options: { signal?: AbortSignal | undefined } = {}): Promise<StreamHandle> {
    return this.start(start, { signal: signalOf(options) })
  }

  /** As {@link startStream}, for a stream with a playback that its end closes. */
  async start(
    start: StreamStart,
    { signal, playback }: { readonly signal: AbortSignal | undefined; readonly playback?: StreamPlayback | undefined },
  ): Promise<EndableStream> {
    const { host, port } = this.engine
    const event = toStartEvent(start, { address: { host, port } })
    signal?.throwIfAborted()
    return new FallbackStream(event.streamId, { host, port }, playback)
  }

  async release(): Promise<void> {}

  async fail(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** A stream on `fallbackEngine`. The orchestrator does not know the engine, so the stream is not announced. */
class FallbackStream implements EndableStream {
  readonly id: string
  readonly engine: EngineAddress
  readonly #playback: StreamPlayback | undefined
  readonly #lost = new AbortController()
  readonly #over = new AbortController()
  #state: StreamState = 'live'
  #closed: Promise<void> | undefined

  constructor(id: string, engine: EngineAddress, playback: StreamPlayback | undefined) {
    this.id = id
    this.engine = engine
    this.#playback = playback
  }

  get state(): StreamState {
    return this.#state
  }

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  get over(): AbortSignal {
    return this.#over.signal
  }

  get free(): Promise<void> {
    return this.#closed ?? Promise.resolve()
  }

  end(): Promise<EndResult> {
    return this.#end()
  }

  stop(_reason: unknown, cause: unknown): Promise<EndResult> {
    return this.#end(cause)
  }

  signalLost(cause: unknown): void {
    this.#lost.abort(cause)
  }

  async #end(cause?: unknown): Promise<EndResult> {
    const isAgain = this.#closed !== undefined
    if (!isAgain) {
      this.#state = 'ending'
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#closed = promise
      this.#over.abort()
      if (cause !== undefined) this.#lost.abort(cause)
      resolve(this.#playback?.close())
    }
    await this.#closed
    this.#state = 'ended'
    return { outcome: isAgain ? 'duplicate' : 'not-announced', attempts: 0 }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end()
  }
}

function signalOf(options: { signal?: AbortSignal | undefined }): AbortSignal | undefined {
  return checkOptions(REQUEST_OPTIONS, options).signal
}

for (const { prototype } of [HeldLease, FallbackLease]) {
  showAs(prototype, 'EngineLease', ({ id, engine, expiresAt, isFallback }) => ({ id, engine, expiresAt, isFallback }))
}
showAs(FallbackStream.prototype, 'StreamHandle', ({ id, engine, state }) => ({ id, engine, state }))
