import type { Engine, MetricsSnapshot, OrchestratorClient, OrchestratorHealth } from 'acestream-orchestrator-client'
import { OrchestratorError } from 'acestream-orchestrator-client'
import type { EngineSource } from '../engine-source.ts'
import type { RescueFigures } from '../viewer.ts'
import { Activity } from './activity.ts'
import { type EngineTile, engineTiles } from './engine-tiles.ts'
import { EventLog, type LogEntry } from './event-log.ts'
import { contentNames, engineName } from './names.ts'
import { type ContentRow, type RowNames, rowsOf, type WaitingRow } from './rows.ts'

/** The part of a client that the page shows. */
type StatusClient = Pick<OrchestratorClient, 'on' | 'off' | 'listEngines' | 'health'>

/** Options of the status page. */
export interface StatusOptions {
  /** The client, if the engines are those of an orchestrator. @default none */
  client?: StatusClient
  /** Maximum number of streams per engine. @default no free slots are shown */
  maxStreamsPerEngine?: number
  /** Where the proxy keeps its state, in words. @default 'memory' */
  store?: string
  /** Whether keys of contents, addresses of viewers and messages of errors are shown. @default false */
  showsDetails?: boolean
}

/** Everything that the page shows. */
export interface StatusState {
  readonly viewers: number
  readonly isClosing: boolean
  readonly figures: Readonly<RescueFigures>
  readonly circuit: MetricsSnapshot['circuit'] | undefined
  readonly health: OrchestratorHealth | undefined
  readonly store: string
  readonly storeFailsSince: Date | undefined
  readonly engines: readonly EngineTile[]
  /** Why the engine list may be outdated. */
  readonly listFailure: string | undefined
  readonly contents: readonly ContentRow[]
  readonly waiting: readonly WaitingRow[]
  readonly events: readonly LogEntry[]
}

/** What the state of the proxy itself is read from. */
export interface StatusParts {
  source: EngineSource
  viewers: { readonly isClosing: boolean }
  figures: Readonly<RescueFigures>
  options: StatusOptions
  /** Called when the state may have changed. */
  changed: () => void
}

/** Longest wait of a page for the engine list. The client may be waiting for its orchestrator. */
const LIST_TIMEOUT_MS = 1_000
/** Engines whose names are remembered. More than any orchestrator lists. */
const MAX_NAMES = 1_000

/** Collects the state for the status page. It uses what the client knows: only an outdated engine list is requested again. */
export class Status {
  readonly activity: Activity
  readonly #parts: StatusParts
  readonly #names: RowNames
  readonly #log: EventLog | undefined
  readonly #engineNames = new Map<string, string>()
  #engines: readonly Engine[] = []
  #listFailure: string | undefined
  #listing: Promise<void> | undefined

  constructor(parts: StatusParts) {
    const { source, changed, options } = parts
    this.#parts = parts
    const showsDetails = options.showsDetails === true
    this.#names = { ...contentNames(showsDetails), engineName: (id) => this.#engineName(id), showsDetails }
    this.activity = new Activity(source, changed)
    const names = {
      streamName: (id: string) => this.#streamName(id),
      engineName: this.#names.engineName,
      errorText: (error: unknown) => this.#errorText(error),
    }
    this.#log = options.client && new EventLog(options.client, names, changed)
  }

  /** Stops listening to the client. */
  close(): void {
    this.#log?.close()
  }

  /** Reads the present state. Never rejects. */
  async read(): Promise<StatusState> {
    await this.#listEngines()
    const { source, viewers, figures, options } = this.#parts
    const { storeFailsSince } = this.activity
    const { contents, waiting } = rowsOf(this.activity, this.#names)
    return {
      viewers: [...contents, ...waiting].reduce((sum, row) => sum + row.viewers, 0),
      isClosing: viewers.isClosing,
      figures,
      circuit: source.metrics().circuit,
      health: options.client?.health,
      store: options.store ?? 'memory',
      storeFailsSince,
      engines: engineTiles(this.#engines, this.activity, options.maxStreamsPerEngine),
      listFailure: this.#listFailure,
      contents,
      waiting,
      events: this.#log?.entries ?? [],
    }
  }

  /** Waits for the list of the client, but not long. Readers that come meanwhile share the wait. */
  async #listEngines(): Promise<void> {
    const { client } = this.#parts.options
    if (client === undefined) return
    this.#listing ??= client
      .listEngines()
      .then(
        (engines) => {
          this.#engines = engines
          for (const engine of engines) this.#rememberName(engine)
          this.#listFailure = undefined
        },
        (error: unknown) => {
          this.#listFailure = this.#errorText(error)
        },
      )
      .finally(() => {
        this.#listing = undefined
      })
    let timer: NodeJS.Timeout | undefined
    const timeUp = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, LIST_TIMEOUT_MS)
    })
    await Promise.race([this.#listing, timeUp]).finally(() => clearTimeout(timer))
  }

  #streamName(streamId: string): string {
    const content = this.activity.contentOf(streamId)
    if (content === undefined) return 'a stream'
    const name = this.#names.nameOf(content)
    return this.#names.showsDetails ? name : `content ${name}`
  }

  #engineName(containerId: string): string {
    return this.#engineNames.get(containerId) ?? engineName({ containerId })
  }

  /** Remembers the name for events after the engine has gone. */
  #rememberName(engine: Engine): void {
    this.#engineNames.delete(engine.containerId)
    this.#engineNames.set(engine.containerId, engineName(engine))
    const [oldest] = this.#engineNames.keys()
    if (this.#engineNames.size > MAX_NAMES && oldest !== undefined) this.#engineNames.delete(oldest)
  }

  /** Without details only a code: messages name URLs, which may contain the key of a content. */
  #errorText(error: unknown): string {
    if (!(error instanceof Error)) return 'an unknown error'
    if (this.#names.showsDetails) return error.message.replace(/\.$/, '')
    return error instanceof OrchestratorError ? error.code : error.name
  }
}
