import type { Core } from '../core.ts'
import { drain, STOP_MS } from '../drain.ts'
import type { Surface } from '../generation.ts'
import { type FakeRequest, type FakeResponse, jsonResponse, textResponse } from '../http.ts'
import { type Resolution, type RouteHandler, Router, type RouteTable, splitPath } from '../routing.ts'
import { shuffled } from '../seeded-random.ts'
import { goTime } from '../stamps.ts'
import { streamEnded, streamStarted } from './events.ts'
import { Provisioner } from './provisioner.ts'
import { PushHub } from './push.ts'
import { selectEngine } from './select-engine.ts'
import { circuitBreaker, healthStatus, orchestratorStatus } from './status.ts'
import { engineJson, streamJson } from './wire.ts'

const PREFIX = '/api/v1'
const NOT_FOUND = textResponse(404, '404 page not found\n')
const EVENT_STREAM_HEADERS = Object.freeze({ 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })

/** The Go generation: two ports, two sets of routes. */
export class GoApp {
  readonly pushes: PushHub
  readonly provisioner: Provisioner
  readonly #core: Core
  readonly #public: Router
  readonly #internal: Router

  constructor(core: Core) {
    this.#core = core
    this.pushes = new PushHub(core)
    this.provisioner = new Provisioner(core)
    core.onEngineGone = () => this.provisioner.replace()
    core.onRestart = () => this.pushes.endAll()
    this.#public = new Router(this.#publicRoutes())
    this.#internal = new Router(this.#internalRoutes())
  }

  /** Returns the route of a request. */
  resolve(request: FakeRequest): Resolution {
    const { surface = 'public', method } = request
    const { pathname, query } = splitPath(request.path)
    // On port 8000 every route has the prefix, on port 8083 none has it.
    const isPrefixed = pathname.startsWith(`${PREFIX}/`)
    const path = isPrefixed ? pathname.slice(PREFIX.length) : pathname
    const router = surface === 'internal' ? this.#internal : this.#public
    const route = isPrefixed === (surface === 'public') ? router.match(method, path) : undefined
    const label = route?.label ?? `${method} (unknown)`
    const isLocked = surface === 'internal' && path !== '/health'
    return {
      label,
      answer: () => {
        if (isLocked && !this.#hasKey(request)) return this.#unauthorized(jsonResponse(401, { error: 'unauthorized' }))
        return route === undefined ? NOT_FOUND : route.handler({ request, id: route.id, query })
      },
    }
  }

  #hasKey({ authorization }: FakeRequest): boolean {
    const { apiKey } = this.#core.settings
    return apiKey === '' || authorization === `Bearer ${apiKey}`
  }

  #unauthorized(response: FakeResponse): FakeResponse {
    this.#core.records.counters.unauthorized++
    return response
  }

  /**
   * Wraps a write on port 8000 that needs the key: responds 401 if it is missing, 403 if it is wrong, in plain text. Events need no key.
   */
  #locked(handler: RouteHandler): RouteHandler {
    return (call) => {
      if (this.#hasKey(call.request)) return handler(call)
      return this.#unauthorized(call.request.authorization ? textResponse(403, 'forbidden\n') : textResponse(401, 'unauthorized\n'))
    }
  }

  #events(surface: Surface): RouteTable {
    return {
      'POST /events/stream_started': ({ request }) => streamStarted(this.#core, request.body ?? '', surface),
      'POST /events/stream_ended': ({ request }) => streamEnded(this.#core, request.body ?? '', surface),
    }
  }

  #publicRoutes(): RouteTable {
    const core = this.#core
    return {
      ...this.#events('public'),
      'GET /engines': () => jsonResponse(200, this.#engines('list')),
      'GET /engines/{id}': ({ id }) => {
        const engine = core.records.engines.get(id)
        if (engine === undefined) return jsonResponse(404, { error: 'engine not found' })
        return jsonResponse(200, engineJson(engine, core.clock.now(), 'plain'))
      },
      'DELETE /engines/{id}': this.#locked(({ id }) => {
        const engine = core.records.engines.get(id)
        if (engine === undefined) return jsonResponse(404, { error: 'engine not found' })
        drain(core, engine, STOP_MS)
        return jsonResponse(202, { status: 'deleting' })
      }),
      // v1 ignores query filters.
      'GET /streams': () => jsonResponse(200, this.#streams()),
      'GET /streams/{id}/stats': ({ id }) =>
        core.records.streams.has(id) ? jsonResponse(200, []) : jsonResponse(404, { error: 'stream not found' }),
      'GET /orchestrator/status': () => jsonResponse(200, orchestratorStatus(core)),
      'GET /health/status': () => jsonResponse(200, healthStatus(core)),
      'GET /vpn/status': () => jsonResponse(200, { nodes_healthy: 0, nodes_total: 0, vpn_enabled: false, vpn_nodes: [] }),
      'GET /version': () => jsonResponse(200, { go_unified: true, timestamp: goTime(core.stamps.next()), version: 'go-unified' }),
      'GET /auth/status': () => jsonResponse(200, { mode: 'bearer', required: core.settings.apiKey !== '' }),
      'GET /containers/{id}': ({ id }) =>
        core.records.engines.has(id)
          ? jsonResponse(200, { id })
          : jsonResponse(500, { error: `Error response from daemon: No such container: ${id}` }),
      'GET /circuit-breaker': () => jsonResponse(200, circuitBreaker(core)),
      'POST /circuit-breaker/reset': this.#locked(() => {
        core.breaker.reset()
        return jsonResponse(200, { status: 'reset' })
      }),
      'POST /provision/acestream': this.#locked(() => {
        this.provisioner.request()
        return jsonResponse(200, { status: 'provisioning' })
      }),
      'GET /events/stream': ({ request }) => {
        if (!this.#hasKey(request)) return this.#unauthorized(textResponse(401, 'unauthorized\n'))
        return { status: 200, headers: EVENT_STREAM_HEADERS, body: '', subscribe: (listener) => this.pushes.connect(listener) }
      },
    }
  }

  #internalRoutes(): RouteTable {
    const core = this.#core
    return {
      ...this.#events('internal'),
      'GET /health': () => jsonResponse(200, { status: 'ok' }),
      'GET /status': () =>
        jsonResponse(200, { engines_total: core.records.engines.size, streams_active: core.records.live.size, vpn_nodes: 0 }),
      'GET /engines': () => jsonResponse(200, { engines: this.#engines('plain'), total: core.records.engines.size }),
      'GET /streams': () => jsonResponse(200, { streams: this.#streams(), total: core.records.streams.size }),
      'GET /streams/{id}': ({ id }) => {
        const stream = core.records.streams.get(id)
        return stream === undefined ? jsonResponse(404, { error: 'stream not found' }) : jsonResponse(200, streamJson(stream))
      },
      'GET /vpn-nodes': () => jsonResponse(200, { total: 0, vpn_nodes: [] }),
      'GET /internal/proxy/select-engine': () => selectEngine(core),
    }
  }

  /** In random order, as Go iterates over maps. */
  #engines(view: 'list' | 'plain'): unknown[] {
    const nowMs = this.#core.clock.now()
    return shuffled(this.#core.records.engines.values(), this.#core.random).map((engine) => engineJson(engine, nowMs, view))
  }

  #streams(): unknown[] {
    return shuffled(this.#core.records.streams.values(), this.#core.random).map(streamJson)
  }
}
