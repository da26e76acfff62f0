import { type Attributes, type MeterProvider, metrics, type TracerProvider, trace } from '@opentelemetry/api'
import { expectMethods, expectObject, expectOptions, type NamesOf } from '../../runtime/validate.ts'
import { VERSION } from '../../version.ts'
import { operationsOf, type TelemetrySource } from '../source.ts'
import { exportMetrics } from './export-metrics.ts'
import { OperationSpans } from './operation-spans.ts'
import { traceRequests } from './request-spans.ts'

/** Options of {@link instrument}. */
export interface InstrumentOptions {
  /** Makes the tracer. @default the global provider */
  tracerProvider?: TracerProvider | undefined
  /** Makes the meter. @default the global provider at the time of the call */
  meterProvider?: MeterProvider | undefined
  /** Added to each span and each metric. Needed for metrics if a process has several clients. @default none */
  attributes?: Attributes | undefined
}

/** The telemetry of one client. */
export interface Instrumentation {
  /** Ends the telemetry: no span begins any more, and no metric is read. Can be called again. */
  dispose(): void
}

const OPTION_NAMES: NamesOf<InstrumentOptions> = { tracerProvider: true, meterProvider: true, attributes: true }

const SCOPE = 'acestream-orchestrator-client'

/**
 * Reports a client to OpenTelemetry: spans of its calls and its requests, and metrics. Nothing global is changed. Call it before the first call of
 * the client. The span of a call is a child of the span that is active at the call.
 *
 * @throws {@link InvalidArgumentError} if `client` is no client of this copy of the package
 * @example
 * import { OrchestratorClient } from 'acestream-orchestrator-client'
 * import { instrument } from 'acestream-orchestrator-client/otel'
 *
 * const client = new OrchestratorClient({ baseUrl })
 * instrument(client)
 */
export function instrument(client: TelemetrySource, options: InstrumentOptions = {}): Instrumentation {
  const operations = operationsOf(client)
  expectOptions(options, OPTION_NAMES)
  const { tracerProvider = trace.getTracerProvider(), meterProvider = metrics.getMeterProvider(), attributes = {} } = options
  expectObject('attributes', attributes)
  const tracer = expectMethods<TracerProvider>('tracerProvider', tracerProvider, ['getTracer']).getTracer(SCOPE, VERSION)
  const meter = expectMethods<MeterProvider>('meterProvider', meterProvider, ['getMeter']).getMeter(SCOPE, VERSION)
  // The metrics first: if the meter throws, no span begins, and the caller has nothing to dispose.
  const stops = [
    ...exportMetrics(client, meter, attributes),
    operations.observe(new OperationSpans(tracer, attributes)),
    traceRequests(client, tracer, attributes),
  ]
  return {
    dispose: () => {
      for (const stop of stops.splice(0)) stop()
    },
  }
}
