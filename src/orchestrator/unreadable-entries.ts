import * as v from 'valibot'
import type { Logger } from '../runtime/logger.ts'
import type { Redact } from '../runtime/redaction.ts'
import { expectation } from './answers.ts'

/** The readable entries of a list, and the entries that were left out because they cannot be read. */
export interface Entries<Entry> {
  readonly entries: readonly Entry[]
  readonly unreadable: readonly UnreadableEntry[]
}

/** An entry of a list that was left out because it cannot be read, with its readable parts. */
export interface UnreadableEntry {
  /** The container id of an engine, or the id of a stream. */
  readonly id?: string
  /** Of a stream: the engine it is on. */
  readonly containerId?: string
  /** The wrong field and its expected type. Never the received value, which may be a secret. */
  readonly cause: string
}

/** The entries that were left out of an engine list and its stream list. Their engines and streams still exist. */
export interface Unreadable {
  readonly engines: readonly UnreadableEntry[]
  readonly streams: readonly UnreadableEntry[]
}

/** Called for each entry that is left out of a list. */
export type OnLeftOut = (noun: 'engine' | 'stream', entry: UnreadableEntry) => void

/** The cause of an entry that can be read, but has an address to which nothing can connect. */
export const BAD_ADDRESS = 'host and port: expected an address'

/** Returns the parts of a broken entry that can be read. */
export type Identify = (entry: Readonly<Record<string, unknown>>) => Omit<UnreadableEntry, 'cause'>

/**
 * Reads an array entry by entry: an entry that cannot be read is left out, and the others stay. If no entry can be read, the whole list is malformed:
 * an empty list would mean that there are no engines.
 */
export function entriesSchema<Entry>(entry: v.GenericSchema<unknown, Entry>, identify: Identify): v.GenericSchema<unknown, Entries<Entry>> {
  return v.pipe(
    v.array(v.unknown()),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const entries: Entry[] = []
      const unreadable: UnreadableEntry[] = []
      let first: Parameters<typeof addIssue>[0] | undefined
      for (const [index, value] of dataset.value.entries()) {
        const result = v.safeParse(entry, value, { abortEarly: true, abortPipeEarly: true })
        if (result.success) {
          entries.push(result.output)
          continue
        }
        const [issue] = result.issues
        const isRecord = typeof value === 'object' && value !== null && !Array.isArray(value)
        unreadable.push({ ...(isRecord ? identify(value as Record<string, unknown>) : {}), cause: expectation(issue, 'entry') })
        const at = { type: 'array', origin: 'value', input: dataset.value, key: index, value } as const
        first ??= { message: issue.message, expected: issue.expected ?? issue.message, path: [at, ...(issue.path ?? [])] }
      }
      if (entries.length > 0 || first === undefined) return { entries, unreadable }
      addIssue(first)
      return NEVER
    }),
  )
}

/** Returns a value if it can be an id: a text that is not empty. */
export function nameOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/**
 * Whether an engine that is missing in a list may exist nevertheless. `yes`: an entry with its id was left out. `perhaps`: an entry without an
 * id was left out.
 */
export function mayListEngine(unreadable: Unreadable | undefined, containerId: string): 'yes' | 'perhaps' | 'no' {
  const engines = unreadable?.engines ?? []
  if (engines.some(({ id }) => id === containerId)) return 'yes'
  return engines.some(({ id }) => id === undefined) ? 'perhaps' : 'no'
}

/**
 * Whether a stream that is missing in a list may exist nevertheless: an entry with its id was left out, or an entry without an id that may be
 * on its engine.
 */
export function mayListStream(unreadable: Unreadable | undefined, streamId: string, containerId: string | undefined): boolean {
  return (unreadable?.streams ?? []).some(({ id, containerId: on }) => {
    if (id !== undefined) return id === streamId
    return on === undefined || containerId === undefined || on === containerId
  })
}

/** How many reports are remembered. A forgotten report may be logged a second time. */
const MAX_REPORTS = 1_000

/** Logs the entries that were left out of lists: each entry and cause once, however often the list is read. */
export class EntryReports {
  readonly #logger: Logger
  readonly #redact: Redact
  readonly #reported = new Set<string>()

  constructor({ logger, redact }: { logger: Logger; redact: Redact }) {
    this.#logger = logger
    this.#redact = redact
  }

  /** Logs an entry, unless it was logged before with the same cause. */
  readonly report: OnLeftOut = (noun, { id, containerId, cause }) => {
    const key = JSON.stringify([noun, id, containerId, cause])
    if (this.#reported.has(key)) return
    this.#reported.add(key)
    const [oldest] = this.#reported
    if (this.#reported.size > MAX_REPORTS && oldest !== undefined) this.#reported.delete(oldest)
    const fields = {
      ...(id === undefined ? {} : { [noun === 'engine' ? 'containerId' : 'streamId']: this.#redact(id) }),
      ...(containerId === undefined ? {} : { containerId: this.#redact(containerId) }),
      cause,
    }
    // Starts of other proxies leave engines with impossible addresses in the list for ever (H8): no warning.
    if (cause === BAD_ADDRESS) this.#logger.debug('skipped an engine that cannot be connected to', fields)
    else this.#logger.warn(`An entry of the ${noun} list is left out`, fields)
  }
}
