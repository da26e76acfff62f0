import type { Allocator } from '../engines/leases/allocator.ts'
import type { EngineLease } from '../model/lease.ts'
import type { ResolvedOpenOptions } from '../options/resolve-playback.ts'
import type { Clock } from '../runtime/clock.ts'
import type { LeaseRequest, Patience } from './opener.ts'

/** The caller of `openStream`. Its `waitMs` bounds the waiting for engines, of all attempts together. */
export class OneCaller implements Patience {
  readonly signal: AbortSignal
  readonly #allocator: Allocator
  readonly #clock: Clock
  readonly #mayProvision: boolean
  /** How long it still waits for engines, milliseconds. */
  #leftMs: number

  constructor(
    { allocator, clock }: { allocator: Allocator; clock: Clock },
    options: Pick<ResolvedOpenOptions<unknown>, 'waitMs' | 'provision'>,
    signal: AbortSignal,
  ) {
    this.signal = signal
    this.#allocator = allocator
    this.#clock = clock
    this.#mayProvision = options.provision
    this.#leftMs = options.waitMs
  }

  async acquire(request: LeaseRequest): Promise<EngineLease> {
    const begunAt = this.#clock.now()
    try {
      return await this.#allocator.acquire({ ...request, signal: this.signal, waitMs: this.#leftMs, mayProvision: this.#mayProvision })
    } finally {
      this.#leftMs = Math.max(0, this.#leftMs - (this.#clock.now() - begunAt))
    }
  }

  /** Nobody else opens this stream, so nobody waits for the cleaning up. */
  leaveBehind(): void {}
}
