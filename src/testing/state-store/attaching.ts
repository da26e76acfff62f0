import { expectSame } from './expect.ts'
import type { ProvableRule } from './rule.ts'
import { endedAmong, retention, slot, usageOf } from './samples.ts'
import { USER } from './subject.ts'

/** Rules about `attach`, which passes a client to its store. */
export const ATTACHING: readonly ProvableRule[] = [
  {
    id: 'A1',
    text: 'attach, if the store has it, returns undefined synchronously, and a call by one more client changes no state',
    needs: [],
    async prove({ store }) {
      await store.take(slot('1', { limit: 2 }))
      await store.occupy('a', 'x')
      await store.claimEnd('y', retention())
      const answer: unknown = store.attach?.(USER)
      expectSame('the return value of attach', answer, undefined)
      expectSame('the slots taken', await usageOf(store, 'a'), { leaseCount: 1, streamIds: new Set(['x']) })
      expectSame('a take on the full engine', await store.take(slot('2', { limit: 2 })), undefined)
      expectSame('ended ids', await endedAmong(store, ['y'], retention()), new Set(['y']))
      expectSame('the promotion of a lease', await store.promote('1', 'z'), true)
    },
  },
]
