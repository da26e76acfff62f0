import { registerHooks } from 'node:module'

/** Preloaded into the processes that tests start: imports of the package use its sources, not the last build. */
const SOURCES: Readonly<Record<string, string>> = {
  'acestream-orchestrator-client': new URL('../../src/index.ts', import.meta.url).href,
  'acestream-orchestrator-client/redis': new URL('../../src/state/redis/index.ts', import.meta.url).href,
  'acestream-orchestrator-client/testing': new URL('../../src/testing/index.ts', import.meta.url).href,
  'acestream-orchestrator-client/sqlite': new URL('../../src/state/sqlite/index.ts', import.meta.url).href,
}

registerHooks({
  resolve: (specifier, context, next) => next(SOURCES[specifier] ?? specifier, context),
})
