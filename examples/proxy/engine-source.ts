import type { AcquireOptions, CloseReport, EngineAddress, EngineLease, StreamHandle, StreamStart } from 'acestream-orchestrator-client'

/** As much of a stream as the proxy uses. */
export type LiveStream = Pick<StreamHandle, 'id' | 'lost' | 'end'> & AsyncDisposable

/** As much of a lease as the proxy uses. */
export interface Slot extends Pick<EngineLease, 'release' | 'fail'>, AsyncDisposable {
  readonly engine: EngineAddress & { readonly containerId?: string }
  startStream(start: StreamStart, options?: { signal?: AbortSignal }): Promise<LiveStream>
}

/** Where engines come from: an `OrchestratorClient`, or {@link singleEngine}. */
export interface EngineSource {
  acquireEngine(options?: AcquireOptions): Promise<Slot>
  metrics(): object
  close(options?: { timeoutMs?: number }): Promise<CloseReport>
}

/** For a proxy without an orchestrator: one engine, as many viewers as come, nobody to tell. */
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
