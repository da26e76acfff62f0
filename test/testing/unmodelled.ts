import type { Generation } from '../../src/testing/index.ts'

/** Something recorded that the fake does not model. */
export interface Unmodelled {
  generations: readonly Generation[]
  /** Which recorded steps. */
  name: RegExp
  /** Which field of their bodies; none: the step is not sent at all. */
  field?: RegExp
  reason: string
}

/** Everything in the replayed recordings that the fake leaves out. */
export const UNMODELLED: readonly Unmodelled[] = [
  {
    generations: ['2026-04'],
    name: /^0/,
    field: /\.(?:peers|speed_down|speed_up|downloaded|uploaded|proxy_buffer_pieces)$/,
    reason: 'transfer figures, read from the engine itself once a second: the fake has no engines behind it',
  },
]
