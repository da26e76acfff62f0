/** Compares the memory that ended streams leave behind with its goals. */
import type { Group, KnownMiss, Row } from './frame/row.ts'
import { heapGrowth, REMEMBERED } from './heap.ts'

const STREAMS = 1_000_000
const BYTES_PER_MIB = 1_048_576

/** The figures contain what V8 and Node keep for themselves, which differs from run to run. */
const MISS: Pick<KnownMiss, 'because'> = {
  because: `Node itself keeps 4 MB in some runs, the source of the code that strips types. \`test/streams/remembered-ids.test.ts\` counts the ids
alone: at most 160 bytes each.`,
}

const heap: Row = {
  id: 'heap',
  what: 'growth of the heap after 1,000,000 streams',
  unit: 'MiB',
  goal: 16,
  kind: 'timed',
  miss: { ...MISS, upTo: 18 },
  measure: async () => ({ cost: (await heapGrowth(STREAMS)).bytes / BYTES_PER_MIB }),
}

const bytesPerId: Row = {
  id: 'heap-id',
  what: 'growth of the heap for each of the 100,000 ids that are remembered',
  unit: 'bytes',
  goal: 160,
  kind: 'timed',
  miss: { ...MISS, upTo: 200 },
  measure: async () => ({ cost: (await heapGrowth(REMEMBERED)).bytesPerId }),
}

export const memory: Group = {
  title: 'Memory',
  about: `The heap after garbage collection, before and after a million streams that one client started and ended, 32 at a time. The client
remembers the ids of the last 100,000 ended streams (\`endedRetentionMax\`), so a proxy that runs for months uses no more than this. Measured
after the next engine list: until then each id that has ended since the last one costs about 90 bytes more.`,
  rows: [heap, bytesPerId],
}
