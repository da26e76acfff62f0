import { expectSame } from './expect.ts'
import type { ProvableRule } from './rule.ts'
import { BEGIN, byId, LEASE_MS, slot } from './samples.ts'

/** Rules about slots after a crash. */
export const CRASHES: readonly ProvableRule[] = [
  {
    id: 'S15',
    text: 'the slots of a dead process become free; the slot of a lease becomes free when the lease is due, if not earlier',
    needs: ['durable'],
    async prove(trial) {
      await trial.store.take(slot('1', { limit: 3 }))
      await trial.store.take(slot('2', { limit: 3 }))
      await trial.store.promote('2', 'x')
      await trial.store.occupy('a', 'y')
      const successor = await trial.crash()
      await successor.recover()
      const now = BEGIN + LEASE_MS + 1
      const request = { limit: 3, now, expiresAt: now + LEASE_MS }
      const takes = [await successor.take(slot('3', request))]
      for (const leaseId of ['4', '5', '6']) takes.push(await successor.take(slot(leaseId, request)))
      expectSame('takes on an engine of three slots', takes, ['a', 'a', 'a', undefined])
      expectSame('expired leases of the dead process', byId(await successor.expire(now)), [])
    },
  },
]
