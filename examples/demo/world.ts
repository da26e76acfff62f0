/** The present state of an engine, as the orchestrator counts. */
export interface EngineRow {
  containerId: string
  name: string
  /** Number of live streams, from all proxies. */
  load: number
  /** Highest number of live streams so far. */
  peak: number
}

/** Figures that only a fake orchestrator and fake engines know. Absent for real ones. */
export interface InsideView {
  startsApplied?: number
  endsApplied?: number
  /** Starts of streams that were already live. */
  repeatedStarts?: number
  /** Ends of streams that had already ended. */
  repeatedEnds?: number
  /** Streams that were ended by a request for another stream. */
  innocentsEnded?: number
  /** Streams that ended together with another stream of the same content. */
  namesakesEnded?: number
  /** Engines that are listed only because a start named them. */
  enginesInvented?: number
  /** Highest number of streams on one engine, from all proxies. Includes engines that are gone. */
  loadPeak?: number
  /** Highest number of open sessions on one engine, as the engines counted. */
  enginePeak?: number
  /** Number of sessions that engines have opened. */
  sessionsOpened?: number
  /** Highest number of sessions that one content had open at once, on all engines together. */
  contentPeak?: number
  /** Sessions that are still open. */
  sessionsLeft?: number
  /** Number of requests for a new engine that arrived. */
  provisionRequests?: number
  /** Number of requests that arrived. */
  requests?: number
}

/** The orchestrator and engines of a demo: fakes that the demo starts, or real ones. */
export interface World extends AsyncDisposable {
  /** One line for the first lines of the output. */
  readonly description: string
  readonly url: string
  readonly apiKey: string | undefined
  /** Host at which all engines are reached. `undefined`: use the listed hosts. */
  readonly engineHost: string | undefined
  /** Returns the present state of the engines. */
  engines(): Promise<readonly EngineRow[]>
  /** Ids of the streams that are live now. */
  liveStreams(): Promise<readonly string[]>
  insideView(): InsideView
}
