/**
 * Spans and metrics of a client for OpenTelemetry. Needs `@opentelemetry/api`.
 *
 * @example
 * import { OrchestratorClient } from 'acestream-orchestrator-client'
 * import { instrument } from 'acestream-orchestrator-client/otel'
 *
 * const client = new OrchestratorClient({ baseUrl, apiKey })
 * const telemetry = instrument(client, { attributes: { 'acestream.proxy': 'proxy-1' } })
 * // …
 * await client.close()
 * telemetry.dispose()
 * @module acestream-orchestrator-client/otel
 */
import '../../runtime/supported.ts'

export type { TelemetrySource } from '../source.ts'
export { type Instrumentation, type InstrumentOptions, instrument } from './instrument.ts'
