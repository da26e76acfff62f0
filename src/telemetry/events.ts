import type { OrchestratorError } from '../errors.ts'
import type { OrchestratorHealth } from '../model/health.ts'
import type { EndOutcome } from '../model/stream.ts'
import type { NamesOf } from '../runtime/validate.ts'

/** What each event tells its listeners. */
export interface ClientEvents {
  /** A new engine list arrived; `durationMs` 0: it was pushed. */
  'engines:refreshed': { engineCount: number; durationMs: number }
  /** A lease was given out. */
  'engine:acquired': { leaseId: string; containerId: string; waitedMs: number }
  /** A slot came back. */
  'engine:released': { containerId: string; leaseId?: string; streamId?: string }
  /** An engine failed too often and gets no new streams for `ejectedMs`, as long as no more than half of all engines are left out. */
  'engine:ejected': { containerId: string; failures: number; ejectedMs: number; cause?: unknown }
  /** A lease was neither used nor given back in time; its slot came back by itself. */
  'lease:expired': { leaseId: string; containerId: string }
  /** A caller has to wait: every engine is full. */
  'capacity:waiting': { waiting: number }
  /** A new engine was asked for. */
  'provision:requested': { waiting: number }
  /** The engine that was asked for is listed. */
  'provision:completed': { containerId: string; durationMs: number }
  /** The orchestrator refused, or nothing came. */
  'provision:refused': { error: OrchestratorError }
  /** The orchestrator acknowledged a start. */
  'stream:started': { streamId: string; containerId: string }
  /** A stream is over here, and its end has been dealt with. */
  'stream:ended': { streamId: string; outcome: EndOutcome; reason?: string }
  /** Somebody ended a stream that had been ended before; nothing was sent. */
  'stream:duplicate-end': { streamId: string }
  /** The orchestrator had forgotten a live stream and was told again. */
  'stream:reannounced': { streamId: string; containerId: string }
  /** A stream's engine is gone. */
  'stream:lost': { streamId: string; containerId: string }
  /** An event was not delivered and will be sent again. */
  'delivery:retry': { streamId: string; event: 'started' | 'ended'; attempt: number; delayMs: number; error: OrchestratorError }
  /** An event was given up, or its answer named another stream. */
  'delivery:failed': { streamId: string; event: 'started' | 'ended'; error: OrchestratorError }
  'health:changed': { previous: OrchestratorHealth; current: OrchestratorHealth }
  'circuit:opened': { retryAfterMs: number }
  'circuit:closed': { openMs: number }
}

/** The name of an event. */
export type ClientEventName = keyof ClientEvents

/** Hears one kind of event. What it throws is logged and harms nothing. */
export type ClientEventListener<Name extends ClientEventName> = (event: ClientEvents[Name]) => void

const EVENTS: NamesOf<ClientEvents> = {
  'engines:refreshed': true,
  'engine:acquired': true,
  'engine:released': true,
  'engine:ejected': true,
  'lease:expired': true,
  'capacity:waiting': true,
  'provision:requested': true,
  'provision:completed': true,
  'provision:refused': true,
  'stream:started': true,
  'stream:ended': true,
  'stream:duplicate-end': true,
  'stream:reannounced': true,
  'stream:lost': true,
  'delivery:retry': true,
  'delivery:failed': true,
  'health:changed': true,
  'circuit:opened': true,
  'circuit:closed': true,
}

/** The names of all events. */
export const CLIENT_EVENT_NAMES: readonly string[] = Object.keys(EVENTS)
