import { SystemClock } from '../../runtime/clock.ts'
import { expectSame } from './expect.ts'
import type { ProvableRule } from './rule.ts'
import { slot } from './samples.ts'

/** Real time, since the news comes from another process: how often one looks, and when one gives up. */
const LOOK_EVERY_MS = 20
const LOOKS = 100

const clock = new SystemClock()
const pause = (ms: number): Promise<void> => new Promise((resolve) => void clock.setTimeout(resolve, ms, { keepsAlive: true }))

/** Being told of slots that others give back. */
export const WAKING: readonly ProvableRule[] = [
  {
    id: 'P9',
    text: 'onSlotFreed, where there is one, tells of slots that another process gives back, until it is undone',
    needs: ['shared'],
    async prove(trial) {
      if (trial.store.onSlotFreed === undefined) return
      const peer = await trial.peer()
      const heard = { kept: 0, undone: 0 }
      const undoKept = trial.store.onSlotFreed(() => {
        heard.kept += 1
      })
      const undo = trial.store.onSlotFreed(() => {
        heard.undone += 1
      })
      undo()
      // Listening may take a while to begin, so one slot given back is not enough.
      for (let look = 0; look < LOOKS && heard.kept === 0; look += 1) {
        await peer.take(slot(`lease-${look}`))
        await peer.releaseLease(`lease-${look}`)
        await pause(LOOK_EVERY_MS)
      }
      undoKept()
      expectSame('whether the listener was called', heard.kept > 0, true)
      expectSame('calls of a listener that was taken off', heard.undone, 0)
    },
  },
]
