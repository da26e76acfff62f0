/**
 * The metrics of a client for Prometheus. Needs `prom-client`.
 *
 * @example
 * import { createServer } from 'node:http'
 * import { collectInto } from 'acestream-orchestrator-client/prometheus'
 * import { register } from 'prom-client'
 *
 * collectInto(register, client, { labels: { proxy: 'proxy-1' } })
 * createServer(async (_, answer) => {
 *   answer.setHeader('content-type', register.contentType).end(await register.metrics())
 * }).listen(9_100)
 * @module acestream-orchestrator-client/prometheus
 */
import '../../runtime/supported.ts'

export type { TelemetrySource } from '../source.ts'
export { type Collection, type CollectOptions, collectInto, type MetricRegistry } from './collect.ts'
