import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { configDefaults, defineConfig } from 'vitest/config'
import { hasRedis } from './test/support/redis-server.ts'

const source = (path: string): string => fileURLToPath(new URL(`./src/${path}`, import.meta.url))

export default defineConfig({
  resolve: {
    // Examples import the package by its name; tests run them on the sources, so that a test never passes on an old build.
    alias: [
      { find: /^acestream-orchestrator-client\/redis$/, replacement: source('state/redis/index.ts') },
      { find: /^acestream-orchestrator-client\/testing$/, replacement: source('testing/index.ts') },
      { find: /^acestream-orchestrator-client\/sqlite$/, replacement: source('state/sqlite/index.ts') },
      { find: /^acestream-orchestrator-client$/, replacement: source('index.ts') },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...(hasRedis() ? [] : ['test/state/redis/**'])],
    expect: { requireAssertions: true },
    restoreMocks: true,
    // Demos wait for processes and sockets more than they compute: with vitest's one worker for two cores, everything waits with them.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // Simulations run thousands of virtual hours; a slow machine must not turn them into failures.
    testTimeout: 120_000,
    coverage: {
      provider: 'v8',
      include: ['src/**'],
      reporter: ['text-summary', 'html'],
    },
  },
})
