import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const source = (path: string): string => fileURLToPath(new URL(`./src/${path}`, import.meta.url))

/** Long simulations, demos, and all that needs a redis-server, another runtime or a package registry. */
const DEEP = 'test/**/*.deep.test.ts'

/**
 * Ends a test that hangs; measures none. On a machine ten times slower than a developer's no test comes near it.
 * Vitest counts it per test, hooks included.
 */
const hangAfterMs = (minutes: number) => ({ testTimeout: minutes * 60_000, hookTimeout: minutes * 60_000 })

export default defineConfig({
  resolve: {
    // Examples import the package by its name; tests run them on the sources, so that a test never passes on an old build.
    alias: [
      { find: /^acestream-orchestrator-client\/redis$/, replacement: source('state/redis/index.ts') },
      { find: /^acestream-orchestrator-client\/testing$/, replacement: source('testing/index.ts') },
      { find: /^acestream-orchestrator-client\/sqlite$/, replacement: source('state/sqlite/index.ts') },
      { find: /^acestream-orchestrator-client\/otel$/, replacement: source('telemetry/otel/index.ts') },
      { find: /^acestream-orchestrator-client\/prometheus$/, replacement: source('telemetry/prometheus/index.ts') },
      { find: /^acestream-orchestrator-client$/, replacement: source('index.ts') },
    ],
  },
  test: {
    projects: [
      { extends: true, test: { name: 'quick', include: ['test/**/*.test.ts'], exclude: [DEEP, '**/node_modules/**'], ...hangAfterMs(10) } },
      { extends: true, test: { name: 'deep', include: [DEEP], exclude: ['**/node_modules/**'], ...hangAfterMs(30) } },
    ],
    expect: { requireAssertions: true },
    restoreMocks: true,
    // Demos wait for processes and sockets more than they compute: with vitest's one worker for two cores, everything waits with them.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    coverage: {
      provider: 'v8',
      include: ['src/**'],
      reporter: ['text-summary', 'html'],
    },
  },
})
