import type { Core } from '../core.ts'
import type { PushListener } from '../http.ts'
import { shuffled } from '../seeded-random.ts'
import { goTime } from '../stamps.ts'
import { engineFigures, statusBase } from './status.ts'
import { engineJson, streamJson } from './wire.ts'

const PUSH_INTERVAL_MS = 1_000
const KEEP_ALIVE_INTERVAL_MS = 15_000

/** `GET /events/stream`: sends the whole state on connecting and then every second, even if nothing has changed. */
export class PushHub {
  readonly #core: Core
  readonly #ends = new Set<() => void>()

  constructor(core: Core) {
    this.#core = core
  }

  /** Number of open connections. */
  get connectionCount(): number {
    return this.#ends.size
  }

  /** Opens a connection. The returned function closes it from the client's side. */
  connect(listener: PushListener): () => void {
    const stopPushing = this.#repeat(PUSH_INTERVAL_MS, () => listener.onText(this.#fullSync('state_change')))
    const stopKeepAlive = this.#repeat(KEEP_ALIVE_INTERVAL_MS, () => listener.onText(': keep-alive\n\n'))
    const close = (): void => {
      this.#ends.delete(end)
      stopPushing()
      stopKeepAlive()
    }
    const end = (): void => {
      close()
      listener.onEnd()
    }
    this.#ends.add(end)
    listener.onText(this.#fullSync('initial_sync'))
    return close
  }

  /** Ends all connections, as a restart does. */
  endAll(): void {
    for (const end of [...this.#ends]) end()
  }

  #repeat(intervalMs: number, callback: () => void): () => void {
    const { clock } = this.#core
    let timer = clock.setTimeout(tick, intervalMs)
    function tick(): void {
      // Arm the next timer first, so that a listener that throws does not stop the pushes.
      timer = clock.setTimeout(tick, intervalMs)
      callback()
    }
    return () => timer.cancel()
  }

  #fullSync(reason: 'initial_sync' | 'state_change'): string {
    const core = this.#core
    const nowMs = core.clock.now()
    const { total, healthy, unhealthy, draining } = engineFigures(core)
    const payload = {
      engines: shuffled(core.records.engines.values(), core.random).map((engine) => engineJson(engine, nowMs, 'push')),
      engines_draining: draining,
      engines_healthy: healthy,
      engines_total: total,
      engines_unhealthy: unhealthy,
      health: { healthy_engines: healthy, status: total === 0 ? 'unavailable' : 'healthy', unhealthy_engines: unhealthy },
      orchestrator_status: statusBase(core),
      streams: shuffled(core.records.streams.values(), core.random).map(streamJson),
      streams_active: core.records.live.size,
      timestamp: goTime(core.stamps.next()),
      vpn_nodes: [],
    }
    return `event: full_sync\ndata: ${JSON.stringify({ meta: { reason }, payload, type: 'full_sync' })}\n\n`
  }
}
