import { type HostEngine, type OpenContext, StoreError } from 'acestream-orchestrator-client'
import type { EngineSource, JoinedViewer, JoinOptions } from '../engine-source.ts'

/** A content, as viewers asked for it. Only viewers with the same parameters share a stream. */
export type AskedContent = Pick<JoinOptions<unknown>, 'keyType' | 'key' | 'variant'>

/** A session on an engine, from the request for it until it is stopped. */
export interface ActiveSession {
  readonly content: AskedContent
  readonly engine: HostEngine
  readonly since: Date
  state: 'opening' | 'playing' | 'stopping'
  /** `undefined` until the engine has opened it. */
  streamId: string | undefined
  /** The viewers that get its video over one connection. */
  readonly viewers: Set<ActiveViewer>
  /** The viewers that request its files, by address. The last one to request comes last. */
  readonly visitors: Map<string | undefined, Visitor>
}

/** A viewer that gets a video or waits for it. */
export interface ActiveViewer {
  readonly content: AskedContent
  readonly address: string | undefined
  readonly since: Date
}

/** A viewer of HLS. It holds no connection. */
interface Visitor extends ActiveViewer {
  /** When it counts no longer, on the clock of `performance.now()`. */
  readonly until: number
}

/** Maximum number of visitors of a session. */
const MAX_VISITORS = 1_000
/** Contents of streams that are over, for events about them that come later. */
const MAX_PAST_STREAMS = 1_000

/** Observes how the proxy uses its engine source: which sessions are open, and which viewers watch or wait. */
export class Activity {
  readonly sessions = new Set<ActiveSession>()
  /** Viewers without a video, in order of arrival. */
  readonly waiting = new Set<ActiveViewer>()
  /** When the store began to fail; `undefined` while it works. */
  storeFailsSince: Date | undefined
  readonly #source: EngineSource
  readonly #changed: () => void
  readonly #playbacks = new Map<unknown, ActiveSession>()
  readonly #contents = new Map<string, AskedContent>()

  /** @param changed called after each change, which may be often */
  constructor(source: EngineSource, changed: () => void) {
    this.#source = source
    this.#changed = changed
  }

  /**
   * Returns the source for a viewer with this address, or for one whose address is not known.
   *
   * @param visitMs the viewer holds no connection: it counts from a join or a {@link visit} for this time, and not until it leaves
   */
  sourceFor(address: string | undefined, visitMs?: number): EngineSource {
    return {
      joinStream: (options) => this.#join(options, address, visitMs),
      metrics: () => this.#source.metrics(),
      close: (options) => this.#source.close(options),
    }
  }

  /** Counts a viewer that requests a file of a playback, for this time. Viewers with the same address count as one. */
  visit(playback: unknown, address: string | undefined, visitMs: number): void {
    const session = this.#playbacks.get(playback)
    if (session === undefined) return
    const { content, visitors } = session
    const since = visitors.get(address)?.since ?? new Date()
    this.#forgetVisitor(content, address)
    visitors.set(address, { content, address, since, until: performance.now() + visitMs })
    const [longestAgo] = visitors.keys()
    if (visitors.size > MAX_VISITORS) visitors.delete(longestAgo)
    this.#changed()
  }

  /** The content of a stream of this proxy, also for a while after its end. */
  contentOf(streamId: string): AskedContent | undefined {
    return this.#contents.get(streamId)
  }

  async #join<T>(options: JoinOptions<T>, address: string | undefined, visitMs: number | undefined): Promise<JoinedViewer<T>> {
    const { keyType, key, variant } = options
    const viewer: ActiveViewer = { content: { keyType, key, variant }, address, since: new Date() }
    if (visitMs !== undefined) this.#forgetVisitor(viewer.content, address)
    this.waiting.add(viewer)
    this.#changed()
    try {
      const joined = await this.#source.joinStream(this.#observed(options))
      this.storeFailsSince = undefined
      if (visitMs === undefined) return this.#watching(viewer, joined)
      this.visit(joined.stream.playback, address, visitMs)
      return joined
    } catch (error) {
      if (error instanceof StoreError) this.storeFailsSince ??= new Date()
      throw error
    } finally {
      this.waiting.delete(viewer)
      this.#changed()
    }
  }

  /** Counts a viewer once: its content may have a second session, which is stopped because its engine failed. */
  #forgetVisitor({ keyType, key, variant }: AskedContent, address: string | undefined): void {
    for (const { content, visitors } of this.sessions) {
      if (content.keyType === keyType && content.key === key && content.variant === variant) visitors.delete(address)
    }
  }

  #watching<T>(viewer: ActiveViewer, joined: JoinedViewer<T>): JoinedViewer<T> {
    const { stream, isFirst } = joined
    const session = this.#playbacks.get(stream.playback)
    if (session !== undefined) {
      session.viewers.add(viewer)
      this.#remember(session, stream.id)
    }
    const leave = (reason?: string): Promise<void> => {
      session?.viewers.delete(viewer)
      this.#changed()
      return joined.leave(reason)
    }
    return { stream, isFirst, leave }
  }

  /** Wraps `open` and `close`: they begin and end a session. */
  #observed<T>(options: JoinOptions<T>): JoinOptions<T> {
    const { keyType, key, variant } = options
    return {
      ...options,
      open: async (engine: HostEngine, context: OpenContext) => {
        const session = this.#begin({ keyType, key, variant }, engine)
        try {
          const opened = await options.open(engine, context)
          session.state = 'playing'
          this.#playbacks.set(opened.playback, session)
          // The default id of a stream. The events of the client name it before `joinStream` resolves.
          this.#remember(session, `${key}|${opened.session.playbackSessionId}`)
          this.#changed()
          return opened
        } catch (error) {
          this.#end(session)
          throw error
        }
      },
      close: async (playback: T) => {
        const session = this.#playbacks.get(playback)
        if (session !== undefined) session.state = 'stopping'
        this.#changed()
        try {
          await options.close?.(playback)
        } finally {
          this.#playbacks.delete(playback)
          if (session !== undefined) this.#end(session)
        }
      },
    }
  }

  #begin(content: AskedContent, engine: HostEngine): ActiveSession {
    const viewing = { viewers: new Set<ActiveViewer>(), visitors: new Map<string | undefined, Visitor>() }
    const session: ActiveSession = { content, engine, since: new Date(), state: 'opening', streamId: undefined, ...viewing }
    this.sessions.add(session)
    this.#changed()
    return session
  }

  #end(session: ActiveSession): void {
    this.sessions.delete(session)
    this.#changed()
  }

  #remember(session: ActiveSession, streamId: string): void {
    session.streamId = streamId
    this.#contents.delete(streamId)
    this.#contents.set(streamId, session.content)
    const [oldest] = this.#contents.keys()
    if (this.#contents.size > MAX_PAST_STREAMS && oldest !== undefined) this.#contents.delete(oldest)
  }
}

/** The viewers of a session, and the viewers of HLS that requested a file lately. */
export function presentViewers({ viewers, visitors }: ActiveSession): readonly ActiveViewer[] {
  const now = performance.now()
  return [...viewers, ...[...visitors.values()].filter(({ until }) => until > now)]
}
