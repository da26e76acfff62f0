/**
 * Loaded before all other code in a process that counts work, see `work.ts`. V8 counts the executions of loops and branches only in functions that it
 * compiled after the coverage profiler was on; of all others it counts the calls.
 */
import { Session } from 'node:inspector/promises'

const session = new Session()
session.connect()
await session.post('Profiler.enable')
await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
