import type { TransportRequest } from '../runtime/transport.ts'

/**
 * How requests are addressed: below `api/v1` (`v1`), or without a prefix (`unversioned`: 2025-10, 2026-04, and the internal port of v1). Do not
 * confuse it with the generation of the orchestrator, which is 2025-10, 2026-04 or v1.
 */
export type Dialect = 'unversioned' | 'v1'

const V1_BASE = /\/api\/v1\/*$/

/** Whether a base URL already has the prefix of v1. */
export function hasV1Prefix({ pathname }: URL): boolean {
  return V1_BASE.test(pathname)
}

/** The dialect that the configuration or the base URL determines; `undefined` if it must be read from the orchestrator. */
export function configuredDialect(configured: 'auto' | Dialect, baseUrl: URL): Dialect | undefined {
  if (configured !== 'auto') return configured
  return hasV1Prefix(baseUrl) ? 'v1' : undefined
}

/** An endpoint. */
export interface Route {
  /** Names the request in metrics and errors, as `GET /engines`: without ids and without the prefix of the dialect. */
  readonly route: string
  readonly method: TransportRequest['method']
  /** Relative to the base URL, percent-encoded, without a leading slash. */
  readonly path: string
}

/** All endpoints that the client uses. */
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
