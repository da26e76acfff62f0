import { classifyFailure, OrchestratorError } from '../../errors.ts'
import type { Engine, EngineAddress } from '../../model/engine.ts'
import type { EngineLease } from '../../model/lease.ts'
import type { EndResult, StreamHandle, StreamStart, StreamState } from '../../model/stream.ts'
import { REQUEST_OPTION_NAMES } from '../../options/options.ts'
import { toStartEvent } from '../../options/stream-start.ts'
import { showAs } from '../../runtime/platform.ts'
import type { SteadyClock } from '../../runtime/steady-clock.ts'
import { expectOptions, expectSignal } from '../../runtime/validate.ts'
import type { EngineList } from '../list/engine-list.ts'
import type { EngineSnapshot } from '../list/snapshot.ts'
import type { AcquireRequest } from './wait-queue.ts'

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

/** What reading the list for a caller takes. */
export interface ListForCallerParts {
  engineList: EngineList
  clock: SteadyClock
  leaseTtlMs: number
  fallbackEngine: EngineAddress | undefined
}

/** The list; a lease on the fallback engine where there is no list; or why there is none yet, for a caller that has time left. */
export type ListOrSubstitute = EngineSnapshot | FallbackLease | OrchestratorError

/** Reads the list for a caller of `acquireEngine()`, with that caller's own patience. */
export class ListForCaller {
  readonly #parts: ListForCallerParts
  #fallbackCount = 0

  constructor(parts: ListForCallerParts) {
    this.#parts = parts
  }

  /** @throws what the list failed with, where neither patience nor a fallback engine is left */
  async read({ signal, waitMs }: AcquireRequest, since: number, mayBeOld: boolean): Promise<ListOrSubstitute> {
    const { engineList, fallbackEngine, clock } = this.#parts
    try {
      // With something else to hand out there is nothing to be patient for.
      return await engineList.get({ signal, patienceMs: fallbackEngine === undefined ? waitMs : 0, mayBeOld })
    } catch (error) {
      const fallback = this.fallback(error)
      if (fallback !== undefined) return fallback
      if (isPassing(error) && clock.now() - since < waitMs) return error
      throw error
    }
  }

  /** A lease on the fallback engine, if the orchestrator cannot be reached and the host has one. */
  fallback(error: unknown): FallbackLease | undefined {
    const { fallbackEngine, clock, leaseTtlMs } = this.#parts
    if (fallbackEngine === undefined || !classifyFailure(error).allowsFallback) return undefined
    this.#fallbackCount += 1
    return new FallbackLease(`fallback/${this.#fallbackCount}`, fallbackEngine, clock.wallNow() + leaseTtlMs)
  }
}

/** Whether a list that failed so may be readable later. */
function isPassing(error: unknown): error is OrchestratorError {
  return error instanceof OrchestratorError && error.retryable
}
