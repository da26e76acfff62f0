/** What the fake has seen and done. A copy: asking again tells what happened since. */
export interface FakeCounters {
  requests: {
    total: number
    /** By route label: `GET /engines`, `POST /events/stream_started` … */
    byRoute: Record<string, number>
  }
  /** Starts applied by requests, repeated ones included. */
  startsApplied: number
  /** Ends that ended the stream they named. */
  endsApplied: number
  /** Starts of an id that was live already (hazard 5). */
  repeatedStarts: number
  /** Ends of a stream that had ended already and is still known (2025-10 moves its `ended_at`). */
  repeatedEnds: number
  /** Ends that ended nothing. */
  endsMissed: number
  /** Streams ended by a request that named another id, or none (hazard 1). Any above 0 is somebody's viewer cut off. */
  innocentsEnded: number
  /** Streams that went with another of the same content (hazard 6). */
  namesakesEnded: number
  /** Engines that starts made up (hazard 8). */
  enginesInvented: number
  /** Engines that came of provision requests. */
  enginesProvisioned: number
  /** Provision requests refused. */
  provisionsRefused: number
  /** Requests answered 401 or 403 for want of the key. */
  unauthorized: number
  /** Requests turned away because the orchestrator was down. */
  refusedWhileDown: number
  /** Per container id, the most streams started by requests that were ever live there at once. */
  peakLoad: Record<string, number>
  /** The same with the streams of other proxies. */
  peakTotalLoad: Record<string, number>
}

/** All zero. */
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

/** A copy that later requests do not change. */
export function copyCounters(counters: FakeCounters): FakeCounters {
  const { requests, peakLoad, peakTotalLoad } = counters
  return {
    ...counters,
    requests: { total: requests.total, byRoute: { ...requests.byRoute } },
    peakLoad: { ...peakLoad },
    peakTotalLoad: { ...peakTotalLoad },
  }
}
