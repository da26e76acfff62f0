/**
 * The store for one proxy that may crash: it keeps slots, ended ids and the journal in a file, and needs no other package.
 *
 * @example
 * import { OrchestratorClient } from 'acestream-orchestrator-client'
 * import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
 *
 * const store = new SqliteStore({ path: '/var/lib/proxy/state.db', onFailure: 'memory' })
 * const client = new OrchestratorClient({ baseUrl, apiKey, store })
 * @module acestream-orchestrator-client/sqlite
 */
import '../../runtime/supported.ts'

export { SqliteStore, type SqliteStoreOptions } from './sqlite-store.ts'
