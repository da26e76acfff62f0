import type { ClientEventListener, ClientEventName, OrchestratorClient } from 'acestream-orchestrator-client'

/** An event to show. */
export interface LogEntry {
  /** Different for each event. */
  readonly id: number
  readonly at: Date
  readonly level: 'info' | 'warning'
  readonly text: string
}

/** Texts of what an event names. They are shown to people, so they hold no key unless details are shown. */
export interface EventNames {
  streamName(streamId: string): string
  engineName(containerId: string): string
  errorText(error: unknown): string
}

const MAX_ENTRIES = 30

/** Why a stream ended, in words. */
const REASONS: ReadonlyMap<string, string> = new Map([
  ['client_disconnected', 'its last viewer has left'],
  ['completed', 'the video is over'],
  ['engine_lost', 'its engine was lost'],
  ['proxy_closing', 'the proxy is closing'],
  ['slow_viewer', 'its last viewer read too slowly'],
  ['yielded', 'another content needed its slot'],
])

/** Keeps the last events of a client as sentences. */
export class EventLog {
  readonly #entries: (Omit<LogEntry, 'text'> & { readonly describe: () => string })[] = []
  readonly #client: Pick<OrchestratorClient, 'on' | 'off'>
  readonly #changed: () => void
  #count = 0
  readonly #removals: (() => void)[] = []

  /** @param changed called after each event that may change the page */
  constructor(client: Pick<OrchestratorClient, 'on' | 'off'>, names: EventNames, changed: () => void) {
    this.#client = client
    this.#changed = changed
    this.#listen(names)
  }

  /** The newest one first. The names are those of now: an engine may have been listed after the event. */
  get entries(): readonly LogEntry[] {
    return this.#entries.map(({ describe, ...entry }) => ({ ...entry, text: capitalized(describe()) }))
  }

  /** Stops listening. */
  close(): void {
    for (const remove of this.#removals.splice(0)) remove()
  }

  #listen({ streamName, engineName, errorText }: EventNames): void {
    const [info, warning] = [this.#info, this.#warning]
    this.#on('stream:started', ({ streamId, containerId }) => info(() => `${streamName(streamId)} started on ${engineName(containerId)}.`))
    this.#on('stream:ended', ({ streamId, reason }) =>
      info(() => `${streamName(streamId)} ended${reason === undefined ? '' : `: ${REASONS.get(reason) ?? reason}`}.`),
    )
    this.#on('stream:lost', ({ streamId, containerId }) =>
      warning(() => `${streamName(streamId)} lost its engine ${engineName(containerId)}. Its viewers get another one.`),
    )
    this.#on('stream:reannounced', ({ streamId }) =>
      info(() => `${streamName(streamId)} was announced again: the orchestrator had forgotten it.`),
    )
    this.#on('engine:ejected', ({ containerId, failures, ejectedMs, cause }) =>
      warning(
        () =>
          `${engineName(containerId)} gets no new stream for ${seconds(ejectedMs)}: it failed ${failures} times in a row${because(cause)}.`,
      ),
    )
    this.#on('lease:expired', ({ containerId }) => warning(() => `A slot of ${engineName(containerId)} expired without a stream.`))
    this.#on('provision:requested', ({ waiting }) =>
      info(() => `A new engine was requested: ${waiting} ${waiting === 1 ? 'content waits' : 'contents wait'} for a slot.`),
    )
    this.#on('provision:completed', ({ containerId, durationMs }) =>
      info(() => `The new engine ${engineName(containerId)} is listed, ${seconds(durationMs)} after the request.`),
    )
    this.#on('provision:refused', ({ error }) => warning(() => `No new engine was started: ${errorText(error)}.`))
    this.#on('delivery:failed', ({ streamId, event, error }) =>
      warning(() => `The ${event === 'started' ? 'start' : 'end'} of ${streamName(streamId)} was not delivered: ${errorText(error)}.`),
    )
    this.#on('circuit:opened', ({ retryAfterMs }) =>
      warning(() => `The orchestrator keeps failing. It gets no request for ${seconds(retryAfterMs)}.`),
    )
    this.#on('circuit:closed', ({ openMs }) => info(() => `The orchestrator answers again, after ${seconds(openMs)}.`))
    this.#on('health:changed', ({ previous, current }) => {
      const before = previous.status === 'unknown' ? '' : ` Before, it was ${previous.status}.`
      if (previous.status !== current.status) info(() => `The orchestrator is ${current.status}.${before}`)
      else if (previous.key !== current.key) info(() => `The API key of the proxy is ${current.key}.`)
    })
    for (const name of ['engines:refreshed', 'engine:acquired', 'engine:released', 'capacity:waiting'] as const) this.#on(name, () => {})
    function because(cause: unknown): string {
      return cause === undefined ? '' : `, the last time with ${errorText(cause)}`
    }
  }

  #on<Name extends ClientEventName>(name: Name, show: ClientEventListener<Name>): void {
    const listener: ClientEventListener<Name> = (event) => {
      show(event)
      this.#changed()
    }
    this.#client.on(name, listener)
    this.#removals.push(() => this.#client.off(name, listener))
  }

  readonly #info = (describe: () => string): void => this.#add('info', describe)
  readonly #warning = (describe: () => string): void => this.#add('warning', describe)

  #add(level: LogEntry['level'], describe: () => string): void {
    this.#count++
    this.#entries.unshift({ id: this.#count, at: new Date(), level, describe })
    this.#entries.length = Math.min(this.#entries.length, MAX_ENTRIES)
  }
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)} s`
}
