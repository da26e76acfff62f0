import type {
  CloseReport,
  EndResult,
  EngineAddress,
  HostEngine,
  JoinStreamOptions,
  OpenContext,
  OpenedPlayback,
  OpenStream,
  StreamViewer,
} from 'acestream-orchestrator-client'
import type { SourceMetrics } from './metrics.ts'

/** The options of `joinStream`, with an `open` that needs only the address of the engine. */
export interface JoinOptions<T> extends Omit<JoinStreamOptions<T>, 'open'> {
  open(engine: HostEngine, context: OpenContext): Promise<OpenedPlayback<T>>
}

/** The part of a stream that the proxy uses. */
export type SharedStream<T> = Pick<OpenStream<T>, 'id' | 'playback' | 'lost' | 'end' | 'fail'>

/** One viewer of a stream. */
interface JoinedViewer<T> extends Pick<StreamViewer<T>, 'isFirst' | 'leave'> {
  readonly stream: SharedStream<T>
}

/** Provides streams: an `OrchestratorClient`, or {@link singleEngine}. */
export interface EngineSource {
  joinStream<T>(options: JoinOptions<T>): Promise<JoinedViewer<T>>
  metrics(): SourceMetrics
  close(options?: { timeoutMs?: number }): Promise<CloseReport>
}

/** Creates a source for a proxy without an orchestrator: one engine, a session for each viewer, no events. */
export function singleEngine(engine: EngineAddress): EngineSource {
  const live = new Set<string>()
  return {
    async joinStream({ key, signal = new AbortController().signal, open, close }) {
      const { session, playback } = await open(engine, { signal, attempt: 1 })
      const id = `${key}|${session.playbackSessionId}`
      const over = new AbortController()
      live.add(id)
      const stop = async (cause?: unknown): Promise<EndResult> => {
        if (!live.delete(id)) return { outcome: 'duplicate', attempts: 0 }
        over.abort(cause)
        await close?.(playback)
        return { outcome: 'not-announced', attempts: 0 }
      }
      const stream = { id, playback, lost: over.signal, end: () => stop(), fail: stop }
      return { stream, isFirst: true, leave: async () => void (await stop()) }
    },
    metrics: () => ({ streams: { live: live.size } }),
    close: async () => ({ delivered: 0, undelivered: [] }),
  }
}
