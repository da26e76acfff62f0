import type { Content } from '../../model/content.ts'
import type { Engine } from '../../model/engine.ts'
import type { CallerPlace } from '../../state/store.ts'

/** The engine that one caller needs. */
export interface EngineFilter {
  /** Container ids of engines that the caller does not want. */
  readonly exclude: ReadonlySet<string>
  readonly allowUnhealthy: boolean
  /** Prefer engines without this content. No condition: an engine with it is taken if there is no other. */
  readonly content?: Content | undefined
}

/** What a caller asks of its slot. */
export interface SlotTerms {
  /** How long the lease lasts, milliseconds. @default the option `leaseTtlMs` */
  readonly leaseTtlMs?: number | undefined
  /** For a store that serves the callers of all processes in order. @default the slot is for no caller */
  readonly place?: CallerPlace | undefined
}

/** A slot that was taken, under a lease. */
export interface TakenSlot {
  readonly leaseId: string
  readonly engine: Engine
  /** When the lease expires, milliseconds by the client's clock. */
  readonly expiresAt: number
}
