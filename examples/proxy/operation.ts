import { refuse, sendJson } from './answers.ts'
import type { EngineSource } from './engine-source.ts'
import { processMetrics, proxyMetrics, sourceMetrics } from './metrics.ts'
import { CONTENT_TYPE, formatMetrics } from './prometheus.ts'
import type { ReadinessCheck } from './readiness.ts'
import type { RequestCounts } from './request-counts.ts'
import type { Exchange, Route } from './routes.ts'
import type { RescueFigures } from './viewer.ts'
import type { Viewers } from './viewers.ts'

/** The parts that the operator's paths show. */
export interface OperationParts {
  source: EngineSource
  viewers: Viewers
  figures: Readonly<RescueFigures>
  counts: RequestCounts
  whyNotReady: ReadinessCheck
}

/** The paths for the operator of the proxy. Programs request them again and again. */
export function operationRoutes(parts: OperationParts): readonly Route[] {
  const { source, viewers, figures, counts } = parts
  return [
    {
      path: '/ace/status',
      isFrequent: true,
      serve: ({ response }) => sendJson(response, 200, { status: 'ok', viewers: viewers.size, ...figures, ...source.metrics() }),
    },
    { path: '/healthz', isFrequent: true, serve: ({ response }) => sendJson(response, 200, { status: 'ok' }) },
    { path: '/readyz', isFrequent: true, serve: (exchange) => sendReadiness(parts, exchange) },
    {
      path: '/metrics',
      isFrequent: true,
      serve({ response }) {
        const metrics = [...proxyMetrics(viewers.size, figures, counts), ...sourceMetrics(source.metrics()), ...processMetrics()]
        const text = formatMetrics(metrics)
        response.writeHead(200, { 'content-type': CONTENT_TYPE, 'content-length': Buffer.byteLength(text) }).end(text)
      },
    },
  ]
}

async function sendReadiness({ viewers, whyNotReady }: OperationParts, { response }: Exchange): Promise<void> {
  const reason = viewers.isClosing ? 'proxy_closing' : await whyNotReady()
  if (reason === undefined) return sendJson(response, 200, { status: 'ready' })
  refuse(response, { status: 503, reason, error: 'the proxy is not ready' })
}
