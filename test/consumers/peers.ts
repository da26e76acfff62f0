// Compiles where the optional peers are installed: their clients, handlers, providers and registries are accepted without a cast.
import { metrics, trace } from '@opentelemetry/api'
import { OrchestratorClient } from 'acestream-orchestrator-client'
import { instrument } from 'acestream-orchestrator-client/otel'
import { collectInto } from 'acestream-orchestrator-client/prometheus'
import { RedisStore } from 'acestream-orchestrator-client/redis'
import { createHandlers, FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import { Cluster, Redis } from 'ioredis'
import { type HttpHandler, HttpResponse, http } from 'msw'
import { setupServer } from 'msw/node'
import { Registry, register } from 'prom-client'
import { createClient, createCluster } from 'redis'

const handlers = createHandlers(new FakeOrchestrator())
export const named: HttpHandler[] = handlers
handlers.push(http.get('http://other.test/', () => HttpResponse.json({})))
export const server = setupServer(...handlers)
server.use(...createHandlers(new FakeOrchestrator(), 'http://other.test'))

// The result is a list of handlers, not `any`, which could be assigned to a list of strings.
// @ts-expect-error
export const wrong: string[] = createHandlers(new FakeOrchestrator())

export const stores = [new Redis(), new Cluster([]), createClient(), createCluster({ rootNodes: [] })].map(
  (client) => new RedisStore({ client }),
)

const client = new OrchestratorClient({ baseUrl: 'http://orchestrator:8000' })
const openMetrics = new Registry<typeof Registry.OPENMETRICS_CONTENT_TYPE>()
openMetrics.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
export const telemetry = [
  instrument(client),
  instrument(client, { tracerProvider: trace.getTracerProvider(), meterProvider: metrics.getMeterProvider(), attributes: { site: 'a' } }),
  collectInto(register, client),
  collectInto(new Registry(), client, { labels: { site: 'a' } }),
  collectInto(openMetrics, client),
]
for (const each of telemetry) each.dispose()
