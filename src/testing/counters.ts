/** Counts of requests, streams and engines, see {@link FakeOrchestrator.counters}. A copy: it does not change later. */
export interface FakeCounters {
  /** Requests that arrived. */
  requests: {
    total: number
    /** By route label: `GET /engines`, `POST /events/stream_started`, … */
    byRoute: Record<string, number>
  }
  /** Starts that requests applied, including repeated ones. */
  startsApplied: number
  /** Requests that ended the stream that they named. */
  endsApplied: number
  /** Starts of an id that was already live (H5). */
  repeatedStarts: number
  /** End requests for a stream that had already ended and is still listed. 2025-10 moves its `ended_at`. */
  repeatedEnds: number
  /** End requests that ended no stream. */
  endsMissed: number
  /** Streams that were ended by a request that named another id, or none (H1). Each one is a viewer who was cut off. */
  innocentsEnded: number
  /** Streams that ended together with another stream of the same content (H6). */
  namesakesEnded: number
  /** Engines that starts invented (H8). */
  enginesInvented: number
  /** Engines that provision requests started. */
  enginesProvisioned: number
  /** Provision requests that were refused. */
  provisionsRefused: number
  /** Requests that got status 401 or 403, because the key was missing or wrong. */
  unauthorized: number
  /** Requests whose connection was refused because the orchestrator was down. */
  refusedWhileDown: number
  /** Highest number of concurrent streams by container id, of the streams that requests started. */
  peakLoad: Record<string, number>
  /** Highest number of concurrent streams by container id, including the streams of other proxies. */
  peakTotalLoad: Record<string, number>
}

/** Counters that are all zero. */
export function newCounters(): FakeCounters {
  return {
    requests: { total: 0, byRoute: {} },
    startsApplied: 0,
    endsApplied: 0,
    repeatedStarts: 0,
    repeatedEnds: 0,
    endsMissed: 0,
    innocentsEnded: 0,
    namesakesEnded: 0,
    enginesInvented: 0,
    enginesProvisioned: 0,
    provisionsRefused: 0,
    unauthorized: 0,
    refusedWhileDown: 0,
    peakLoad: {},
    peakTotalLoad: {},
  }
}

/** Copies the counters, so that later requests do not change the copy. */
export function copyCounters(counters: FakeCounters): FakeCounters {
  const { requests, peakLoad, peakTotalLoad } = counters
  return {
    ...counters,
    requests: { total: requests.total, byRoute: { ...requests.byRoute } },
    peakLoad: { ...peakLoad },
    peakTotalLoad: { ...peakTotalLoad },
  }
}
