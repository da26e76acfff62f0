/** Compares the size of the built package with its goals. */
import type { Group, KnownMiss, Row } from './frame/row.ts'
import { type Sizes, sizes } from './size.ts'

const BYTES_PER_KB = 1_000

function sizeRow(id: string, what: string, size: keyof Sizes, goal: number, miss: KnownMiss): Row {
  return { id, what, unit: 'kB', goal, kind: 'counted', miss, measure: async () => ({ cost: (await sizes())[size] / BYTES_PER_KB }) }
}

const AT_ONCE = `The goal is older than the playbacks, the index of engines and the split into rooms, which doubled the code (105 to 213 kB
minified, uncompressed). Of it the wire has 15 %, leases and the queue 10 %, streams 12 % and their delivery 8 %, checks and ports 11 %, the choice
of an engine 8 %, playbacks 7 %, the engine list 5 %, provisioning 5 %, error classes 7 %. What the first call does not reach is a chunk already; no
dependency is loaded at once.`
const WITH_CHUNKS = `See \`size-own\`. Chunks cost about 5 kB more than one file: each is compressed alone, and repeats names. The chunk of the
diagnosis has 10 kB, mostly sentences; the advice in the errors of requests, which Node, Bun and Deno word in different ways, has 1.5 kB.`

export const bundleSizes: Group = {
  title: 'Size',
  about: `The main entry in a bundled application: bundled and minified by esbuild, compressed by brotli at quality 11. "At once" is what
static imports load; chunks are loaded when they are needed first. Own code leaves the dependencies out. One kB is 1,000 bytes.`,
  rows: [
    sizeRow('size-own', 'main entry, own code, at once', 'own', 24, { upTo: 53.5, because: AT_ONCE }),
    sizeRow('size-at-once', 'main entry with dependencies, at once', 'withDependencies', 30, { upTo: 53.5, because: 'See `size-own`.' }),
    sizeRow('size-own-chunks', 'main entry, own code, with every chunk', 'ownWithChunks', 26, { upTo: 81.5, because: WITH_CHUNKS }),
    sizeRow('size-chunks', 'main entry with dependencies, with every chunk', 'allWithChunks', 40, { upTo: 97, because: WITH_CHUNKS }),
  ],
}
