import type { Generation } from '../../src/testing/index.ts'

/** A part of the recordings that the fake does not model. */
export interface Unmodelled {
  generations: readonly Generation[]
  /** The names of the recorded steps. */
  name: RegExp
  /** The path of the field to ignore in their bodies. Without it the steps are skipped. */
  field?: RegExp
  reason: string
}

/** All parts of the replayed recordings that the fake does not model. */
export const UNMODELLED: readonly Unmodelled[] = [
  {
    generations: ['2026-04'],
    name: /^0/,
    field: /\.(?:peers|speed_down|speed_up|downloaded|uploaded|proxy_buffer_pieces|total_peers|total_speed_down|total_speed_up)$/,
    reason: 'transfer figures, which the orchestrator reads from the engine every second: the fake has no running engines',
  },
  {
    generations: ['2025-10', '2026-04'],
    name: /^02-engines\/stream_stats$/,
    field: /^body\.\d+$/,
    reason: 'samples of the same figures: the fake has none',
  },
  {
    generations: ['2025-10'],
    name: /^06-foreign\//,
    field: /\.(?:last_cache_cleanup|cache_size_bytes)$/,
    reason: 'the orchestrator cleans the cache of an idle engine at times and reads its size: no client uses these fields',
  },
  {
    generations: ['v1'],
    name: /^(?:08|1\d)-/,
    field: /\.(?:cpu_percent|memory_usage|memory_percent)$/,
    reason: 'resource use of the container, which the orchestrator reads from Docker every few seconds',
  },
  {
    generations: ['v1'],
    name: /^16-restart\//,
    field: /\.first_seen$/,
    reason: 'a race in the real orchestrator, recorded once: an engine was requested before its first_seen was set',
  },
  {
    generations: ['v1'],
    name: /^08-provision\/x_api_key$/,
    reason: 'the recorded request is GET /settings, a route of the dashboard, without an X-API-Key header',
  },
]
