import { builtinModule } from '../../runtime/platform.ts'
import { unsupported } from '../../runtime/supported.ts'

/**
 * SQLite of the runtime. An `import` of `node:sqlite` would fail on a runtime without it before any code could say what to do.
 */
const sqlite = builtinModule('node:sqlite') as typeof import('node:sqlite') | undefined
if (sqlite === undefined) throw unsupported('/sqlite', 'node:sqlite')

/** The class `DatabaseSync` of `node:sqlite`. */
export const Database: typeof import('node:sqlite').DatabaseSync = sqlite.DatabaseSync
