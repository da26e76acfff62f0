import { PushOrder } from './engines/pushes/push-order.ts'
import type { ResolvedOptions } from './options/resolve.ts'
import { OrchestratorApi } from './orchestrator/api.ts'
import { CircuitBreaker } from './orchestrator/circuit-breaker.ts'
import { KeyCheck } from './orchestrator/key-check.ts'
import { Link } from './orchestrator/link.ts'
import { ROUTES } from './orchestrator/routes.ts'
import { makeRedactor } from './runtime/redaction.ts'
import type { Sequence } from './runtime/sequence.ts'
import type { Emitter } from './telemetry/events.ts'
import type { Counters } from './telemetry/metrics.ts'

/** Dependencies of {@link connect}. */
export interface ConnectionParts {
  options: ResolvedOptions
  sequence: Sequence
  counters: Counters
  emitter: Emitter
  /** Aborts with the client. */
  lifetime: AbortSignal
  /** Called when requests are sent again, before the host's listeners. */
  onCircuitClosed: () => void
  /** Called when the orchestrator has accepted or rejected the API key. */
  onKeyChecked: () => void
}

/** The parts of a client that send requests. */
export interface Connection {
  /** `undefined`: the host has switched it off. */
  readonly circuit: CircuitBreaker | undefined
  readonly keyCheck: KeyCheck
  readonly link: Link
  readonly pushOrder: PushOrder
  readonly api: OrchestratorApi
}

/** Makes the parts of a client that send requests. Sends none. */
export function connect({ options, sequence, counters, emitter, lifetime, onCircuitClosed, onKeyChecked }: ConnectionParts): Connection {
  const { clock, logger } = options
  const url = makeRedactor(options.apiKey)(`${options.baseUrl.origin}${options.baseUrl.pathname}`)
  const circuit =
    options.circuitBreaker &&
    new CircuitBreaker({
      ...options.circuitBreaker,
      clock,
      sequence,
      url,
      // Not as part of the call whose time to wait has ended: the probe is for all calls.
      probe: { route: ROUTES.engines.route, send: () => emitter.operations.detach(() => api.probe({ signal: lifetime })) },
      onOpened: (retryAfterMs, isAgain, error) => {
        logger[isAgain ? 'debug' : 'warn'](`The orchestrator at ${url} is failing; requests stop until it answers again`, {
          retryAfterMs,
          error,
        })
        emitter.to('circuit:opened')?.({ retryAfterMs })
      },
      onClosed: (openMs) => {
        onCircuitClosed()
        emitter.to('circuit:closed')?.({ openMs })
      },
      // Not in `onClosed`: the probe is a read, so while only the writes fail, the circuit closes and opens all the time.
      onRecovered: (outageMs) => logger.info(`The orchestrator at ${url} answers again`, { outageMs }),
    })
  const keyCheck = new KeyCheck({ apiKey: options.apiKey, logger, onChange: onKeyChecked })
  const pushOrder = new PushOrder(sequence)
  const link = new Link({
    baseUrl: options.baseUrl,
    apiKey: options.apiKey,
    headers: options.headers,
    transport: options.transport,
    clock,
    requestTimeoutMs: options.requestTimeoutMs,
    maxConcurrentRequests: options.maxConcurrentRequests,
    logger,
    circuit,
    keyCheck,
    onRequest: (route) => counters.countRequest(route),
    onFailure: () => counters.countFailedRequest(),
    watchRequest: () => emitter.to('request:finished'),
    dialect: options.dialect,
    sequence,
    lifetime,
    onStartAcknowledged: pushOrder.addAnchor.bind(pushOrder),
  })
  const api: OrchestratorApi = new OrchestratorApi(link)
  return { circuit, keyCheck, link, pushOrder, api }
}
