/** Measures how many bytes the package adds to an application that is bundled: minified by esbuild, compressed by brotli. */
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants } from 'node:zlib'
import { build } from 'esbuild'

const ENTRY = fileURLToPath(new URL('../dist/index.js', import.meta.url))

/** Bytes of the main entry of the built package. */
export interface Sizes {
  /** The package's own code that an import loads at once. */
  readonly own: number
  /** The same with its dependencies. */
  readonly withDependencies: number
  /** The package's own code, with every chunk that it can load later. */
  readonly ownWithChunks: number
  /** The same with all dependencies. */
  readonly allWithChunks: number
}

/** Bundles the built package, and measures what is loaded at once, and what can be loaded. Run `npm run build` first. */
export async function sizes(): Promise<Sizes> {
  const own = await measureBundle('external')
  const all = await measureBundle('bundle')
  return { own: own.atOnce, withDependencies: all.atOnce, ownWithChunks: own.withChunks, allWithChunks: all.withChunks }
}

async function measureBundle(packages: 'external' | 'bundle'): Promise<{ atOnce: number; withChunks: number }> {
  const { metafile, outputFiles } = await build({
    entryPoints: [ENTRY],
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    packages,
    write: false,
    outdir: '/',
    absWorkingDir: '/',
    metafile: true,
    logLevel: 'error',
  })
  const bytes = new Map(outputFiles.map(({ path, contents }) => [path.replace(/^\//, ''), brotliSize(contents)]))
  const sum = (files: Iterable<string>): number => [...files].reduce((total, file) => total + (bytes.get(file) ?? Number.NaN), 0)
  const outputs = Object.entries(metafile.outputs)
  const entry = outputs.find(([, { entryPoint }]) => entryPoint === ENTRY.slice(1))?.[0]
  // A chunk is loaded at once if static imports lead to it.
  const atOnce = new Set(entry === undefined ? [] : [entry])
  for (const file of atOnce) {
    for (const { path, kind, external } of metafile.outputs[file]?.imports ?? []) {
      if (kind === 'import-statement' && !external) atOnce.add(path)
    }
  }
  return { atOnce: sum(atOnce), withChunks: sum(outputs.map(([file]) => file)) }
}

function brotliSize(contents: Uint8Array): number {
  return brotliCompressSync(contents, { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } }).length
}
