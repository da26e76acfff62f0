import type { Engine, EngineAddress } from '../../model/domain.ts'
import type { EngineLease } from '../../model/lease.ts'
import type { EndResult, StreamHandle, StreamStart, StreamState } from '../../model/stream.ts'
import { REQUEST_OPTION_NAMES } from '../../options/calls.ts'
import { showAs } from '../../runtime/inspect.ts'
import { expectOptions, expectSignal } from '../../runtime/validate.ts'
import { toStartEvent } from '../../streams/start-event.ts'

/** A stream on the fallback engine. The orchestrator has never heard of either. */
class UntoldStream implements StreamHandle {
  readonly id: string
  readonly engine: EngineAddress
  readonly lost: AbortSignal = new AbortController().signal
  #state: StreamState = 'live'

  constructor(id: string, engine: EngineAddress) {
    this.id = id
    this.engine = engine
  }

  get state(): StreamState {
    return this.#state
  }

  end(): Promise<EndResult> {
    const outcome = this.#state === 'ended' ? 'duplicate' : 'not-announced'
    this.#state = 'ended'
    return Promise.resolve({ outcome, attempts: 0 })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end()
  }
}

showAs(UntoldStream.prototype, 'StreamHandle', ({ id, engine, state }) => ({ id, engine, state }))

/** A lease on `fallbackEngine`, for the time the orchestrator cannot be reached. It takes no slot, and the orchestrator is told nothing. */
export class FallbackLease implements EngineLease {
  readonly isFallback = true
  readonly id: string
  readonly engine: Engine
  readonly #expiresAt: number

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
    const signal = expectSignal('signal', expectOptions(options, REQUEST_OPTION_NAMES)['signal'])
    const { host, port } = this.engine
    const event = toStartEvent(start, { address: { host, port } })
    signal?.throwIfAborted()
    return new UntoldStream(event.streamId, { host, port })
  }

  async release(): Promise<void> {}

  async fail(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}

showAs(FallbackLease.prototype, 'EngineLease', ({ id, engine, expiresAt, isFallback }) => ({ id, engine, expiresAt, isFallback }))
