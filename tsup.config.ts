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
  dts: true,
  sourcemap: true,
  treeshake: true,
  splitting: true,
  clean: true,
})
