import type { Core } from '../core.ts'
import { type FakeRequest, type FakeResponse, jsonResponse, textResponse } from '../http.ts'
import { type Resolution, type RouteCall, Router, type RouteTable, splitPath } from '../routing.ts'
import { vanish } from '../vanish.ts'
import { END_BODY, PROVISION_BODY, startBody } from './bodies.ts'
import { streamEnded, streamStarted } from './events.ts'
import { authorized, authorizedBody } from './guard.ts'
import { provision } from './provisioning.ts'
import { healthStatus, orchestratorStatus, vpnStatus } from './status.ts'
import { engineJson, streamJson } from './wire.ts'

/** 2026-04 caches its status for this long, whatever happens meanwhile (H15). */
const STATUS_CACHE_MS = 500
const PREFIX = '/api/v1'

/** The two Python generations: their routes and FastAPI's routing. */
export class PythonApp {
  readonly #core: Core
  readonly #router: Router
  #status: { response: FakeResponse; untilMs: number; life: number } | undefined

  constructor(core: Core) {
    this.#core = core
    this.#router = new Router(this.#routes())
  }

  /** Returns the route of a request. */
  resolve(request: FakeRequest): Resolution {
    const { pathname, query } = splitPath(request.path)
    const isVersioned = pathname.startsWith(`${PREFIX}/`) && this.#core.settings.generation === '2026-04'
    const path = isVersioned ? pathname.slice(PREFIX.length) : pathname
    const route = this.#router.match(request.method, path)
    if (route !== undefined) {
      return { label: route.label, answer: () => route.handler({ request, id: route.id, query }) }
    }
    return { label: `${request.method} (unknown)`, answer: () => this.#unknown(pathname, path) }
  }

  #unknown(pathname: string, path: string): FakeResponse {
    if (path.length > 1 && path.endsWith('/') && this.#router.knows(path.slice(0, -1))) {
      return { status: 307, headers: { location: pathname.slice(0, -1) }, body: '' }
    }
    return this.#router.knows(path) ? jsonResponse(405, { detail: 'Method Not Allowed' }) : jsonResponse(404, { detail: 'Not Found' })
  }

  #routes(): RouteTable {
    const core = this.#core
    const { generation } = core.settings
    return {
      'GET /engines': () => {
        const nowMs = core.clock.now()
        return jsonResponse(
          200,
          Array.from(core.records.engines.values(), (engine) => engineJson(generation, engine, nowMs, true)),
        )
      },
      'GET /engines/{id}': ({ id }) => this.#engine(id),
      'GET /streams': (call) => this.#streams(call),
      'GET /streams/{id}/stats': () => jsonResponse(200, []),
      'POST /events/stream_started': authorizedBody(core, startBody(generation), (body) => streamStarted(core, body)),
      'POST /events/stream_ended': authorizedBody(core, END_BODY, (body) => streamEnded(core, body)),
      'POST /provision/acestream': authorizedBody(core, PROVISION_BODY, (body) => provision(core, body)),
      'GET /orchestrator/status': () => this.#orchestratorStatus(),
      'GET /health/status': ({ request }) => this.#healthStatus(request),
      'POST /health/circuit-breaker/reset': authorized(core, () => {
        core.breaker.reset()
        return jsonResponse(200, { message: 'Circuit breaker all reset successfully' })
      }),
      'GET /vpn/status': () => jsonResponse(200, vpnStatus(core)),
      'GET /containers/{id}': ({ id }) => {
        const engine = core.records.engines.get(id)
        return engine?.real === true ? jsonResponse(200, { id }) : jsonResponse(404, { detail: 'container not found' })
      },
      'DELETE /containers/{id}': authorized(core, ({ id }) => this.#deleteContainer(id)),
      ...(generation === '2026-04' && {
        'GET /version': () => jsonResponse(200, { version: '1.7.3', title: 'AceStream Orchestrator' }),
        'GET /auth/status': () => jsonResponse(200, { required: core.settings.apiKey !== '', mode: 'bearer' }),
      }),
    }
  }

  #engine(id: string): FakeResponse {
    const { generation } = this.#core.settings
    const engine = this.#core.records.engines.get(id)
    if (engine === undefined) return jsonResponse(200, { error: 'not found' })
    return jsonResponse(200, {
      engine: engineJson(generation, engine, this.#core.clock.now(), false),
      streams: Array.from(engine.live.values(), (stream) => streamJson(generation, stream)),
    })
  }

  #streams({ query }: RouteCall): FakeResponse {
    const { generation } = this.#core.settings
    const status = query.get('status')
    const containerId = query.get('container_id')
    const pattern = generation === '2025-10' ? '^(started|ended)$' : '^(started|ended|pending_failover)$'
    if (status !== null && !new RegExp(pattern).test(status)) {
      const msg = `String should match pattern '${pattern}'`
      const issue = { type: 'string_pattern_mismatch', loc: ['query', 'status'], msg, input: status, ctx: { pattern } }
      return jsonResponse(422, { detail: [issue] })
    }
    const { records } = this.#core
    const wanted = []
    for (const stream of status === 'started' ? records.live.values() : records.streams.values()) {
      if ((status === null || stream.status === status) && (containerId === null || stream.containerId === containerId)) {
        wanted.push(streamJson(generation, stream))
      }
    }
    return jsonResponse(200, wanted)
  }

  #orchestratorStatus(): FakeResponse {
    const { life, settings, clock } = this.#core
    const cached = this.#status
    if (cached !== undefined && cached.life === life && clock.now() < cached.untilMs) return cached.response
    const response = jsonResponse(200, orchestratorStatus(this.#core))
    if (settings.generation === '2026-04') this.#status = { response, untilMs: clock.now() + STATUS_CACHE_MS, life }
    return response
  }

  #healthStatus(request: FakeRequest): FakeResponse {
    const status = healthStatus(this.#core)
    return jsonResponse(200, request.path.startsWith(PREFIX) ? { status: null, message: null, ...status } : status)
  }

  #deleteContainer(id: string): FakeResponse {
    const engine = this.#core.records.engines.get(id)
    if (engine?.real === true) vanish(this.#core, engine)
    // For a container that does not exist, 2025-10 fails and 2026-04 reports success.
    else if (this.#core.settings.generation === '2025-10') return textResponse(500, 'Internal Server Error')
    return jsonResponse(200, { deleted: id })
  }
}
