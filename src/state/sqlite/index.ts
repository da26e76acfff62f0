export type { SqliteStoreOptions } from './options.ts'
export { SqliteStore } from './store.ts'
