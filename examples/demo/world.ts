/** An engine, as the orchestrator sees it now. */
export interface EngineRow {
  containerId: string
  name: string
  /** Live streams there, whoever started them. */
  load: number
  /** The most there ever were. */
  peak: number
}

/** What only somebody behind the scenes can tell; each figure only where it is known. */
export interface InsideView {
  startsApplied?: number
  endsApplied?: number
  /** Starts of streams that were live already. */
  repeatedStarts?: number
  /** Ends of streams that were over already. */
  repeatedEnds?: number
  innocentsEnded?: number
  namesakesEnded?: number
  /** Engines that the orchestrator knows only because a start named them. */
  enginesInvented?: number
  /** The most streams that any engine ever had, whoever started them, engines included that are gone. */
  loadPeak?: number
  /** The highest number of sessions that any engine had open at once, as the engines saw it. */
  enginePeak?: number
  /** Sessions that no engine was told to end. */
  sessionsLeft?: number
  /** Requests for a new engine that arrived. */
  provisionRequests?: number
  /** Requests of any kind that arrived. */
  requests?: number
}

/** An orchestrator with engines: fakes that were started here, or real ones. */
export interface World extends AsyncDisposable {
  /** One line, for the headline. */
  readonly description: string
  readonly url: string
  readonly apiKey: string | undefined
  /** Where the ports of all engines are reached from here; `undefined`: where the orchestrator lists them. */
  readonly engineHost: string | undefined
  /** Looks at the engines, and notes peaks. */
  engines(): Promise<readonly EngineRow[]>
  /** Ids of the streams that are live now. */
  liveStreams(): Promise<readonly string[]>
  insideView(): InsideView
}
