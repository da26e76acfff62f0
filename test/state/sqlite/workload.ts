import { seededRandom } from '../../../src/testing/seeded-random.ts'

/** One write to a store. */
export type Operation =
  | { readonly kind: 'append'; readonly streamId: string; readonly isOver: boolean; readonly reason: string }
  | { readonly kind: 'settle' | 'claim' | 'unclaim'; readonly streamId: string }

/** Few ids, so that many appends replace an entry, many settlements find one, and old ends are forgotten. */
const STREAMS = 40
const ENDED_MOST = 12
const LONGEST_REASON = 3_000
const KINDS = ['append', 'append', 'append', 'settle', 'settle', 'claim', 'claim', 'unclaim'] as const

/** An endless series of random operations. The same seed gives the same series. */
export function* operations(seed: number): Generator<Operation, never> {
  const random = seededRandom(seed)
  for (;;) {
    const kind = KINDS[Math.floor(random() * KINDS.length)] ?? 'append'
    const streamId = `stream-${Math.floor(random() * STREAMS)}`
    if (kind !== 'append') yield { kind, streamId }
    else yield { kind, streamId, isOver: random() < 0.3, reason: 'r'.repeat(Math.floor(random() ** 4 * LONGEST_REASON)) }
  }
}

/** Keeps `ENDED_MOST` ends, for longer than any test takes. */
export const RETENTION = { now: Date.UTC(2026, 0, 1), retentionMs: 3_600_000, max: ENDED_MOST }

/** The expected contents of a file. */
export interface Contents {
  /** Stream id -> the rest of its entry, in the order of writing. */
  readonly journal: ReadonlyMap<string, { isOver: boolean; reason: string }>
  /** Oldest first. */
  readonly ended: readonly string[]
}

export const EMPTY: Contents = { journal: new Map(), ended: [] }

/** The contents after this operation. */
export function applied({ journal, ended }: Contents, operation: Operation): Contents {
  const { kind, streamId } = operation
  const others = new Map([...journal].filter(([id]) => id !== streamId))
  if (kind === 'append') return { journal: others.set(streamId, { isOver: operation.isOver, reason: operation.reason }), ended }
  if (kind === 'settle') return { journal: others, ended }
  if (kind === 'unclaim') return { journal, ended: ended.filter((id) => id !== streamId) }
  return { journal, ended: ended.includes(streamId) ? ended : [...ended, streamId].slice(-ENDED_MOST) }
}
