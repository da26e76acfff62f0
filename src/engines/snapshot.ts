import type { Engine, Stream } from '../orchestrator/domain.ts'

/** An engine list and when it was taken. Frozen: many callers share it. */
export interface EngineSnapshot {
  readonly engines: readonly Engine[]
  /** All streams, where the refresh had to ask for them as well (v1). */
  readonly streams?: readonly Stream[]
  /** Position of its request among everything that was sent and acknowledged here. */
  readonly sequence: number
  /** Milliseconds since the epoch. */
  readonly receivedAt: number
}
