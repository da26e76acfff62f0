import { SystemClock } from '../../runtime/clock.ts'
import { expectSame } from './expect.ts'
import type { ProvableRule } from './rule.ts'
import { slot } from './samples.ts'

/** This rule waits in real time, because the notification comes from another process. */
const ATTEMPT_EVERY_MS = 20
const MAX_ATTEMPTS = 100

const clock = new SystemClock()
const pause = (ms: number): Promise<void> => new Promise((resolve) => void clock.setTimeout(resolve, ms, { keepsAlive: true }))

/** Rules about notifications of free slots. */
export const WAKING: readonly ProvableRule[] = [
  {
    id: 'P9',
    text: 'onSlotFreed, if the store has it, calls its listener when another process frees a slot, until the listener is removed',
    needs: ['shared'],
    async prove(trial) {
      if (trial.store.onSlotFreed === undefined) return
      const peer = await trial.peer()
      const calls = { kept: 0, removed: 0 }
      const removeKept = trial.store.onSlotFreed(() => {
        calls.kept += 1
      })
      const remove = trial.store.onSlotFreed(() => {
        calls.removed += 1
      })
      remove()
      // The subscription may start late and miss the first release, so release again until a call arrives.
      for (let attempt = 0; attempt < MAX_ATTEMPTS && calls.kept === 0; attempt += 1) {
        await peer.take(slot(`lease-${attempt}`))
        await peer.releaseLease(`lease-${attempt}`)
        await pause(ATTEMPT_EVERY_MS)
      }
      removeKept()
      expectSame('whether the listener was called', calls.kept > 0, true)
      expectSame('calls of a removed listener', calls.removed, 0)
    },
  },
]
