import type { WireRequest } from './requester.ts'

/** What a route is called in metrics and errors, and how it is written, but for the dialect's prefix. */
export type Route = Pick<WireRequest, 'route' | 'method' | 'path'>

/** Every route this client uses. */
export const ROUTES: Readonly<
  Record<'engines' | 'streams' | 'start' | 'end' | 'provision' | 'status' | 'circuitBreaker' | 'pushes' | 'version', Route>
> = {
  engines: { route: 'GET /engines', method: 'GET', path: 'engines' },
  streams: { route: 'GET /streams', method: 'GET', path: 'streams' },
  start: { route: 'POST /events/stream_started', method: 'POST', path: 'events/stream_started' },
  end: { route: 'POST /events/stream_ended', method: 'POST', path: 'events/stream_ended' },
  provision: { route: 'POST /provision/acestream', method: 'POST', path: 'provision/acestream' },
  status: { route: 'GET /orchestrator/status', method: 'GET', path: 'orchestrator/status' },
  circuitBreaker: { route: 'GET /circuit-breaker', method: 'GET', path: 'circuit-breaker' },
  pushes: { route: 'GET /events/stream', method: 'GET', path: 'events/stream' },
  version: { route: 'GET /version', method: 'GET', path: 'version' },
}
