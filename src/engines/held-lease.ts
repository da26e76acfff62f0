import type { Engine } from '../orchestrator/domain.ts'
import type { StreamHandle, StreamStart } from '../streams/stream.ts'
import type { EngineLease } from './lease.ts'

/** What a lease asks of those who know the rules. */
export interface LeaseKeeper {
  startStream(lease: HeldLease, start: StreamStart, signal: AbortSignal | undefined): Promise<StreamHandle>
  release(lease: HeldLease): Promise<void>
  fail(lease: HeldLease, cause: unknown): Promise<void>
}

/** A lease on an engine of the orchestrator's. */
export class HeldLease implements EngineLease {
  readonly isFallback = false
  readonly id: string
  readonly engine: Engine
  /** As the orchestrator listed it. */
  readonly listed: Engine
  readonly #expiresAt: number
  readonly #keeper: LeaseKeeper

  constructor(parts: { id: string; engine: Engine; listed: Engine; expiresAt: number; keeper: LeaseKeeper }) {
    this.id = parts.id
    this.engine = parts.engine
    this.listed = parts.listed
    this.#expiresAt = parts.expiresAt
    this.#keeper = parts.keeper
  }

  get expiresAt(): Date {
    return new Date(this.#expiresAt)
  }

  startStream(start: StreamStart, options?: { signal?: AbortSignal }): Promise<StreamHandle> {
    return this.#keeper.startStream(this, start, options?.signal)
  }

  release(): Promise<void> {
    return this.#keeper.release(this)
  }

  fail(cause?: unknown): Promise<void> {
    return this.#keeper.fail(this, cause)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release()
  }
}
