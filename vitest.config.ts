import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const source = (path: string): string => fileURLToPath(new URL(`./src/${path}`, import.meta.url))

/** Long simulations, demos, and all that needs a redis-server, another runtime or a package registry. */
const DEEP = 'test/**/*.deep.test.ts'

/** On Windows no program can delete, move or replace a file that another has open. These tests do that to the file of a `SqliteStore`. */
const POSIX_ONLY = ['damaged-while-open', 'replaced', 'client-notices-lost-file', 'thread-failures'].map(
  (name) => `test/state/sqlite/${name}.test.ts`,
)
const skipped = process.platform === 'win32' ? POSIX_ONLY : []

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
      {
        extends: true,
        test: { name: 'quick', include: ['test/**/*.test.ts'], exclude: [DEEP, '**/node_modules/**', ...skipped], ...hangAfterMs(10) },
      },
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
