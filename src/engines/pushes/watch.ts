import type { Link } from '../../orchestrator/link.ts'
import { Chunk } from '../../runtime/chunk.ts'
import { Watchdog } from '../../runtime/timers.ts'
import type { Emitter } from '../../telemetry/events.ts'
import { FIRST_PUSH_MS } from '../list/freshness.ts'
import type { PushConnection, PushConnectionParts } from './push-connection.ts'

/** The code that receives pushes. */
export const pushChunk: Chunk<typeof import('./push-connection.ts')> = new Chunk('pushes', () => import('./push-connection.ts'))

/** Dependencies and options of {@link PushWatch}. */
export interface PushWatchParts extends PushConnectionParts {
  link: Link
  emitter: Emitter
  /** The host's option: whether to connect. */
  watch: boolean
  /** Whether callers wait for an engine: the connection stays open while they do. */
  isNeeded: () => boolean
}

/** The connection is closed after this time without an acquire: v1 pushes every second, needed or not. */
const IDLE_MS = 60_000

/**
 * Keeps the engine list fresh with v1's pushes while engines are being acquired. It is optional: without pushes, the client requests lists. No
 * other part waits for it, and nothing rejects.
 */
export class PushWatch {
  readonly #parts: PushWatchParts
  readonly #idle: Watchdog
  /** `undefined` until its code is loaded. */
  #pushes: PushConnection | undefined
  #connection: AbortController | undefined
  #isClosed = false
  #refusedUntil = Number.NEGATIVE_INFINITY

  constructor(parts: PushWatchParts) {
    this.#parts = parts
    this.#idle = new Watchdog(parts.clock, IDLE_MS, () => (parts.isNeeded() ? this.#idle.feed() : this.#stop()))
    // Connect after the first list: it shows the generation of the orchestrator, and a push must be newer than the list that it replaces.
    parts.engineList.onRefresh(() => this.#open())
  }

  /** Opens the connection if there is none, and keeps it open for 60 s more. Call when an engine is acquired. */
  touch(): void {
    if (!this.#parts.watch || this.#isClosed) return
    this.#idle.feed()
    if (!this.#parts.engineList.isBusy) this.#open()
  }

  /** Closes the connection at once and for good. */
  close(): void {
    this.#isClosed = true
    this.#idle.stop()
    this.#stop()
  }

  #open(): void {
    const { link, clock } = this.#parts
    if (!this.#idle.isAwake || this.#connection !== undefined || clock.now() < this.#refusedUntil) return
    if (link.dialect !== 'v1' || !link.canStream) return
    const connection = new AbortController()
    this.#connection = connection
    // The connection outlives the call that needs it first.
    void this.#parts.emitter.operations.detach(() => this.#keepConnected(connection))
  }

  #stop(): void {
    this.#connection?.abort()
    this.#connection = undefined
  }

  async #keepConnected(connection: AbortController): Promise<void> {
    const { link, clock, engineList } = this.#parts
    const { signal } = connection
    // The connection sets the time again. Callers that come before its code is loaded also wait for the first push.
    engineList.expectPush(clock.now() + FIRST_PUSH_MS)
    try {
      const code = pushChunk.code ?? (await pushChunk.load())
      this.#refusedUntil = await link.use((wire) => {
        this.#pushes ??= new code.PushConnection(this.#parts, wire)
        return this.#pushes.keep(signal)
      })
    } catch {
      // The code cannot be loaded. Lists are requested, and the next list tries again.
      engineList.expectPush(clock.now())
    }
    if (this.#connection === connection) this.#connection = undefined
  }
}
