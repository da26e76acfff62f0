import { defineConfig } from 'tsup'

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    redis: 'src/state/redis/index.ts',
    sqlite: 'src/state/sqlite/index.ts',
    testing: 'src/testing/index.ts',
  },
  format: 'esm',
  target: 'node22',
  platform: 'neutral',
  external: [/^node:/, 'msw'],
  // Some built-in modules have no other name, and Deno knows none of them by another.
  removeNodeProtocol: false,
  // A consumer's compiler may know neither `AsyncDisposable` nor msw. The declarations bring both.
  dts: { banner: '/// <reference lib="esnext.disposable" />\n/// <reference path="./without-msw.d.ts" />' },
  sourcemap: true,
  splitting: true,
  clean: true,
  // An application parses the whole file at its start. Names stay, for stack traces.
  esbuildOptions(options) {
    options.minifyWhitespace = true
    options.minifySyntax = true
  },
})
