import { readdirSync, readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Plugin } from 'esbuild'
import { defineConfig, type Options } from 'tsup'

const MAIN = 'src/index.ts'
/** What an application imports. */
const TYPED = {
  index: MAIN,
  redis: 'src/state/redis/index.ts',
  sqlite: 'src/state/sqlite/index.ts',
  otel: 'src/telemetry/otel/index.ts',
  prometheus: 'src/telemetry/prometheus/index.ts',
  testing: 'src/testing/index.ts',
}
/** With the command line, which is run and not imported. */
const ENTRIES = { ...TYPED, cli: 'src/cli/main.ts' }

/** Length after which a line of the built code is broken, characters. */
const MAX_LINE_LENGTH = 120

const absolute = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** Files that the code loads when it needs them: `import('./file.ts')`. */
function findChunks(): string[] {
  const files = readdirSync(absolute('src'), { recursive: true, encoding: 'utf8' }).map((file) => absolute(`src/${file}`))
  return files
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) =>
      [...readFileSync(file, 'utf8').matchAll(/\bimport\('(\..+?)'\)/g)].map(([, path = '']) => resolve(dirname(file), path)),
    )
}

/**
 * Keeps all code that an import of the main entry loads in one file. esbuild makes a file for each set of entries and chunks that share
 * code, and to open a file costs an application more than to parse 20 kB. If all others import the main entry, there is one set.
 */
const oneFileForMain: Plugin = {
  name: 'one-file-for-main',
  setup({ onLoad }) {
    const main = absolute(MAIN)
    const others = new Set([...Object.values(ENTRIES).map(absolute), ...findChunks()])
    others.delete(main)
    onLoad({ filter: /\.ts$/ }, ({ path }) =>
      others.has(path) ? { contents: `${readFileSync(path, 'utf8')}\nimport ${JSON.stringify(main)}\n`, loader: 'ts' } : undefined,
    )
  },
}

/** `package.json` says that no file has side effects, so esbuild would leave out a file of which nothing is used. This one checks the runtime. */
const keepCheckOfRuntime: Plugin = {
  name: 'keep-check-of-runtime',
  setup({ onResolve }) {
    onResolve({ filter: /\/runtime\/supported\.ts$/ }, ({ path, resolveDir }) => ({ path: resolve(resolveDir, path), sideEffects: true }))
  },
}

const shared: Options = {
  format: 'esm',
  target: 'node22',
  platform: 'neutral',
  external: [/^node:/, 'msw'],
  // Some built-in modules have no other name, and Deno knows none of them by another.
  removeNodeProtocol: false,
  sourcemap: true,
  // An application parses the whole file at its start. Names stay, for stack traces.
  esbuildOptions(options) {
    options.minifyWhitespace = true
    options.minifySyntax = true
    // Node prints the whole line that threw an uncaught error. Without a limit, that is all code of the file.
    options.lineLimit = MAX_LINE_LENGTH
    // The imports that `oneFileForMain` adds: they decide about the files, and load nothing.
    options.logOverride = { 'ignored-bare-import': 'silent' }
  },
}

export default defineConfig([
  {
    ...shared,
    entry: ENTRIES,
    esbuildPlugins: [keepCheckOfRuntime, oneFileForMain],
    // A consumer's compiler may know neither `AsyncDisposable` nor msw. The declarations bring both.
    dts: { entry: TYPED, banner: '/// <reference lib="esnext.disposable" />\n/// <reference path="./without-msw.d.ts" />' },
    splitting: true,
    // Both builds run at the same time.
    clean: ['!sqlite-thread.*'],
  },
  // No entry point: SqliteStore starts it as a thread. It shares no file with the others, so that the thread starts fast.
  { ...shared, entry: { 'sqlite-thread': 'src/state/sqlite/sqlite-thread.ts' }, splitting: false },
])
