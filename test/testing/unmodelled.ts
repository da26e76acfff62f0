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
    field: /\.(?:peers|speed_down|speed_up|downloaded|uploaded|proxy_buffer_pieces|total_peers|total_speed_down|total_speed_up)$/,
    reason: 'transfer figures, read from the engine itself once a second: the fake has no engines behind it',
  },
  {
    generations: ['2025-10', '2026-04'],
    name: /^02-engines\/stream_stats$/,
    field: /^body\.\d+$/,
    reason: 'the samples of the same figures: the fake lists none',
  },
  {
    generations: ['2025-10'],
    name: /^06-foreign\//,
    field: /\.(?:last_cache_cleanup|cache_size_bytes)$/,
    reason: 'the cache of an idle engine is cleaned now and then, and its size read: nothing a client looks at',
  },
  {
    generations: ['v1'],
    name: /^(?:08|1\d)-/,
    field: /\.(?:cpu_percent|memory_usage|memory_percent)$/,
    reason: 'what the container uses, read from Docker every few seconds',
  },
  {
    generations: ['v1'],
    name: /^16-restart\//,
    field: /\.first_seen$/,
    reason: 'one engine was asked for before its first sight was noted: a race of the original that came up once',
  },
  {
    generations: ['v1'],
    name: /^08-provision\/x_api_key$/,
    reason: 'GET /settings, the dashboard’s own route; recorded by that name, with no such header',
  },
]
