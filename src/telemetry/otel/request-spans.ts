import { type Attributes, SpanKind, SpanStatusCode, type Tracer } from '@opentelemetry/api'
import { systemClock } from '../../runtime/clock.ts'
import { isAbort } from '../error-type.ts'
import { listen, type TelemetrySource } from '../source.ts'
import { requestAttributes } from './request-attributes.ts'

/**
 * Makes a span for each attempt at a request, as OpenTelemetry's conventions for HTTP clients say. Its parent is the span that was active when the
 * request was sent: a request that several callers share belongs to the first of them, and background work has no parent. Returns a function that
 * stops it.
 */
export function traceRequests(client: TelemetrySource, tracer: Tracer, attributes: Attributes): () => void {
  return listen(client, 'request:finished', (request) => {
    const { route, url, durationMs, attempt, error } = request
    const endTime = systemClock.now()
    const span = tracer.startSpan(route, {
      kind: SpanKind.CLIENT,
      startTime: endTime - durationMs,
      attributes: {
        ...attributes,
        ...requestAttributes(request),
        'url.full': url,
        ...(attempt > 1 ? { 'http.request.resend_count': attempt - 1 } : {}),
      },
    })
    try {
      if (error !== undefined && !isAbort(error)) {
        // The conventions ask for no message with a status code.
        span.setStatus(
          request.status === undefined ? { code: SpanStatusCode.ERROR, message: (error as Error).message } : { code: SpanStatusCode.ERROR },
        )
      }
    } finally {
      span.end(endTime)
    }
  })
}
