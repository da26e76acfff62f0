import type {
  CloseReport,
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
export interface JoinedViewer<T> extends Pick<StreamViewer<T>, 'isFirst' | 'leave'> {
  readonly stream: SharedStream<T>
}

/** Provides streams: an `OrchestratorClient`, or {@link singleEngine}. */
export interface EngineSource {
  joinStream<T>(options: JoinOptions<T>): Promise<JoinedViewer<T>>
  metrics(): SourceMetrics
  close(options?: { timeoutMs?: number }): Promise<CloseReport>
}
