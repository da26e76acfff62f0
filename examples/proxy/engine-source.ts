import type { AcquireOptions, CloseReport, EngineAddress, EngineLease, StreamHandle, StreamStart } from 'acestream-orchestrator-client'

/** The part of a stream handle that the proxy uses. */
export type LiveStream = Pick<StreamHandle, 'id' | 'lost' | 'end'> & AsyncDisposable

/** The part of a lease that the proxy uses. */
export interface Slot extends Pick<EngineLease, 'release' | 'fail'>, AsyncDisposable {
  readonly engine: EngineAddress & { readonly containerId?: string }
  startStream(start: StreamStart, options?: { signal?: AbortSignal }): Promise<LiveStream>
}

/** Provides engines: an `OrchestratorClient`, or {@link singleEngine}. */
export interface EngineSource {
  acquireEngine(options?: AcquireOptions): Promise<Slot>
  metrics(): object
  close(options?: { timeoutMs?: number }): Promise<CloseReport>
}

/** Creates a source for a proxy without an orchestrator: one engine, any number of viewers, no events. */
export function singleEngine(engine: EngineAddress): EngineSource {
  const lost = new AbortController().signal
  const nothing = async (): Promise<void> => {}
  const live = new Set<string>()
  const startStream = async ({ key, session }: StreamStart): Promise<LiveStream> => {
    const id = `${key}|${session.playbackSessionId}`
    live.add(id)
    const end: StreamHandle['end'] = async () => ({ outcome: live.delete(id) ? 'not-announced' : 'duplicate', attempts: 0 })
    return { id, lost, end, [Symbol.asyncDispose]: async () => void (await end()) }
  }
  return {
    acquireEngine: async () => ({ engine, startStream, release: nothing, fail: nothing, [Symbol.asyncDispose]: nothing }),
    metrics: () => ({ streams: { live: live.size } }),
    close: async () => ({ delivered: 0, undelivered: [] }),
  }
}
