import { OrchestratorError, StoreError } from '../errors.ts'
import type { Problem } from '../model/diagnosis.ts'
import { runWithDeadline } from '../runtime/abort.ts'
import type { SteadyClock } from '../runtime/steady-clock.ts'
import type { StateStore } from '../state/store.ts'
import { problem } from './obstacle-problems.ts'

/** The limit of a read of the store, milliseconds. */
export const STORE_TIMEOUT_MS = 3_000

const REMEDIES: Readonly<Record<StoreError['reason'], string>> = {
  unavailable:
    'Check that Redis is running and can be reached from here, and that its disk is not full. After a restart of Redis no slots are granted for a moment.',
  locked: 'Another process has the file open: give each process a file of its own, or use RedisStore.',
  'newer-version': 'Install the release of this library that wrote it, or use another store.',
  corrupt: 'Another program may have written to it. Use another file or another key prefix, or repair the store of your own.',
  unwritable: 'Make room on the disk, and give the process the right to write there.',
}

/** Reads from the store of the client, without changing anything. Returns what is wrong, if anything is. */
export async function checkStore(store: StateStore, clock: SteadyClock, signal: AbortSignal): Promise<Problem[]> {
  try {
    const retention = { now: clock.now(), retentionMs: 0, max: 1 }
    await runWithDeadline({ clock, timeoutMs: STORE_TIMEOUT_MS, signal, label: 'The store' }, async () => {
      await store.usage()
      await (store.check === undefined ? store.endedAmong(['diagnosis'], retention) : store.check())
    })
    return []
  } catch (error) {
    signal.throwIfAborted()
    const isLate = error instanceof OrchestratorError && error.code === 'REQUEST_TIMEOUT'
    const reason = error instanceof StoreError ? error.reason : 'unavailable'
    const why = isLate ? `it did not answer within ${STORE_TIMEOUT_MS} ms` : error instanceof Error ? error.message : String(error)
    const isPassing = reason === 'unavailable' || reason === 'locked'
    const message = `The store cannot be used: ${why.replace(/\.$/, '')}. By default, viewers get no engine meanwhile.`
    return [problem(isPassing ? 'store_unavailable' : 'store_unusable', message, REMEDIES[reason])]
  }
}
