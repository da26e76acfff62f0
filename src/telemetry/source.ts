import { InvalidArgumentError } from '../errors.ts'
import type { ClientEventListener, ClientEventName } from './events.ts'
import type { MetricsSnapshot } from './metrics.ts'
import { type Operations, operationsByClient } from './operations.ts'

/** The members of an `OrchestratorClient` that telemetry reads. */
export interface TelemetrySource {
  /** Adds a listener of an event. */
  on<Name extends ClientEventName>(name: Name, listener: ClientEventListener<Name>): unknown
  /** Removes a listener of an event. */
  off<Name extends ClientEventName>(name: Name, listener: ClientEventListener<Name>): unknown
  /** Returns the counters and the gauges. */
  metrics(): MetricsSnapshot
}

/**
 * The operations of a client.
 *
 * @throws {@link InvalidArgumentError} if `client` is no client of this copy of the package
 */
export function operationsOf(client: unknown): Operations {
  const operations = typeof client === 'object' && client !== null ? operationsByClient.get(client) : undefined
  if (operations !== undefined) return operations
  throw new InvalidArgumentError('client', 'an OrchestratorClient, not wrapped, of the same copy of the package')
}

/** Adds a listener to a client. Returns a function that removes it. */
export function listen<Name extends ClientEventName>(source: TelemetrySource, name: Name, listener: ClientEventListener<Name>): () => void {
  source.on(name, listener)
  return () => void source.off(name, listener)
}
