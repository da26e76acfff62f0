import type { Logger } from '../runtime/logger.ts'
import type { Redact } from '../runtime/redaction.ts'

/** An entry of a list that was left out because it cannot be read, with the parts of it that can. */
export interface UnreadableEntry {
  /** The container id of an engine, or the id of a stream. */
  readonly id?: string
  /** Of a stream: the engine it is on. */
  readonly containerId?: string
  /** The wrong field and the kind of value expected there; never the value that came, which may hold anything. */
  readonly cause: string
}

/** The entries that were left out of an engine list and its streams. An engine or stream among them is not gone. */
export interface Unreadable {
  readonly engines: readonly UnreadableEntry[]
  readonly streams: readonly UnreadableEntry[]
}

/**
 * Whether an engine that is not in a list may be listed all the same: `yes` if an entry with its id was left out, `perhaps` if an entry
 * was left out that names no engine.
 */
export function mayListEngine(unreadable: Unreadable | undefined, containerId: string): 'yes' | 'perhaps' | 'no' {
  const engines = unreadable?.engines ?? []
  if (engines.some(({ id }) => id === containerId)) return 'yes'
  return engines.some(({ id }) => id === undefined) ? 'perhaps' : 'no'
}

/** Whether a stream that is not in a list may be listed all the same: by its id, or by an entry without an id that may be on its engine. */
export function mayListStream(unreadable: Unreadable | undefined, streamId: string, containerId: string | undefined): boolean {
  return (unreadable?.streams ?? []).some(({ id, containerId: on }) => {
    if (id !== undefined) return id === streamId
    return on === undefined || containerId === undefined || on === containerId
  })
}

/** Called for each entry that is left out of a list. */
export type OnLeftOut = (noun: 'engine' | 'stream', entry: UnreadableEntry) => void

/** The cause of an entry that can be read, but names an address where nothing can be connected to. */
export const BAD_ADDRESS = 'host and port: expected an address'

/** More are not remembered; dropping one only repeats a warning. */
const MOST_REPORTS = 1_000

/** Reports entries that were left out: once for each entry and cause, however often the list is read. */
export class EntryReports {
  readonly #logger: Logger
  readonly #redact: Redact
  readonly #reported = new Set<string>()

  constructor({ logger, redact }: { logger: Logger; redact: Redact }) {
    this.#logger = logger
    this.#redact = redact
  }

  /** Reports an entry, unless that was done before. */
  readonly report: OnLeftOut = (noun, { id, containerId, cause }) => {
    const key = JSON.stringify([noun, id, containerId, cause])
    if (this.#reported.has(key)) return
    this.#reported.add(key)
    const [oldest] = this.#reported
    if (this.#reported.size > MOST_REPORTS && oldest !== undefined) this.#reported.delete(oldest)
    const fields = {
      ...(id === undefined ? {} : { [noun === 'engine' ? 'containerId' : 'streamId']: this.#redact(id) }),
      ...(containerId === undefined ? {} : { containerId: this.#redact(containerId) }),
      cause,
    }
    // Starts of other proxies invent engines at impossible addresses, for good (H8): not worth a warning.
    if (cause === BAD_ADDRESS) this.#logger.debug('skipped an engine that cannot be connected to', fields)
    else this.#logger.warn(`An entry of the ${noun} list is left out`, fields)
  }
}
