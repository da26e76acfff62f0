export type { SqliteStoreOptions } from './store.ts'
export { SqliteStore } from './store.ts'
