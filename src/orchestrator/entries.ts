import * as v from 'valibot'
import { expectation } from './decode.ts'
import type { UnreadableEntry } from './unreadable.ts'

/** The entries of a list, and those that were left out because they cannot be read. */
export interface Entries<Entry> {
  readonly entries: readonly Entry[]
  readonly unreadable: readonly UnreadableEntry[]
}

/** The parts of a broken entry that can be read. */
export type Identify = (entry: Readonly<Record<string, unknown>>) => Omit<UnreadableEntry, 'cause'>

/**
 * An array, read entry by entry: one that cannot be read is left out and costs no other. A list of which no entry can be read is no list:
 * taken for an empty one, it would say that there are no engines.
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

/** A value that names something. */
export function nameOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
