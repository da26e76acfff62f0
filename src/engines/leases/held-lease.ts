import type { Engine } from '../../model/engine.ts'
import { type EngineLease, FAIL_OPTION_NAMES, type FailOptions } from '../../model/lease.ts'
import type { StreamHandle, StreamStart } from '../../model/stream.ts'
import { REQUEST_OPTION_NAMES } from '../../options/options.ts'
import { MAX_KEY_LENGTH } from '../../options/stream-start.ts'
import type { KeepAlive } from '../../runtime/abort.ts'
import { showAs } from '../../runtime/platform.ts'
import { expectOptions, expectSignal, expectText } from '../../runtime/validate.ts'

/** What a lease asks of those who know the rules. */
export interface LeaseKeeper {
  startStream(lease: HeldLease, start: StreamStart, signal: AbortSignal | undefined): Promise<StreamHandle>
  release(lease: HeldLease): Promise<void>
  fail(lease: HeldLease, cause: unknown, key: string | undefined): Promise<void>
}

/** A lease that never expires has a time no date can hold. */
const LATEST_DATE_MS = 8.64e15

/** A lease on an engine of the orchestrator's. */
export class HeldLease implements EngineLease {
  readonly isFallback = false
  readonly id: string
  readonly engine: Engine
  /** As the orchestrator listed it. */
  readonly listed: Engine
  /** When it expires, milliseconds by the client's steady clock; a number where a date could not tell. */
  readonly expiresAtMs: number
  readonly #expiresOn: number
  readonly #keeper: LeaseKeeper
  readonly #alive: KeepAlive

  /** `expiresAtMs` by the steady clock, `expiresOn` by the wall clock, for the host. */
  constructor(parts: {
    id: string
    engine: Engine
    listed: Engine
    expiresAtMs: number
    expiresOn: number
    keeper: LeaseKeeper
    alive: KeepAlive
  }) {
    this.id = parts.id
    this.engine = parts.engine
    this.listed = parts.listed
    this.expiresAtMs = parts.expiresAtMs
    this.#expiresOn = parts.expiresOn
    this.#keeper = parts.keeper
    this.#alive = parts.alive
  }

  get expiresAt(): Date {
    return new Date(Math.min(this.#expiresOn, LATEST_DATE_MS))
  }

  async startStream(start: StreamStart, options: { signal?: AbortSignal | undefined } = {}): Promise<StreamHandle> {
    const { signal } = expectOptions(options, REQUEST_OPTION_NAMES)
    return this.#alive.during(this.#keeper.startStream(this, start, expectSignal('signal', signal)))
  }

  async release(): Promise<void> {
    return this.#alive.during(this.#keeper.release(this))
  }

  async fail(cause?: unknown, options: FailOptions = {}): Promise<void> {
    const { key } = expectOptions(options, FAIL_OPTION_NAMES)
    const content = key === undefined ? undefined : expectText('key', key, MAX_KEY_LENGTH)
    return this.#alive.during(this.#keeper.fail(this, cause, content))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release()
  }
}

showAs(HeldLease.prototype, 'EngineLease', ({ id, engine, expiresAt, isFallback }) => ({ id, engine, expiresAt, isFallback }))
