// Compiles where the optional peers are installed: their clients and handlers are accepted without a cast.
import { RedisStore } from 'acestream-orchestrator-client/redis'
import { createHandlers, FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import { Cluster, Redis } from 'ioredis'
import { type HttpHandler, HttpResponse, http } from 'msw'
import { setupServer } from 'msw/node'
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
