/** Compares the size of the built package with its goals. */
import type { Group, Row } from './frame/row.ts'
import { type Sizes, sizes } from './size.ts'

const BYTES_PER_KB = 1_000

function sizeRow(id: string, what: string, size: keyof Sizes, goal: number): Row {
  return { id, what, unit: 'kB', goal, kind: 'counted', measure: async () => ({ cost: (await sizes())[size] / BYTES_PER_KB }) }
}

export const bundleSizes: Group = {
  title: 'Size',
  about: `The main entry in a bundled application: bundled and minified by esbuild, compressed by brotli at quality 11. "At once" is what
static imports load; chunks are loaded when they are needed first. Own code leaves the dependencies out. One kB is 1,000 bytes.`,
  rows: [
    sizeRow('size-own', 'main entry, own code, at once', 'own', 24),
    sizeRow('size-at-once', 'main entry with dependencies, at once', 'withDependencies', 30),
    sizeRow('size-own-chunks', 'main entry, own code, with every chunk', 'ownWithChunks', 26),
    sizeRow('size-chunks', 'main entry with dependencies, with every chunk', 'allWithChunks', 40),
  ],
}
