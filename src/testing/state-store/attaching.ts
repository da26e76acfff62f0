import { expectSame } from './expect.ts'
import type { ProvableRule } from './rule.ts'
import { endedAmong, retention, slot, usageOf } from './samples.ts'
import { USER } from './subject.ts'

/** Introducing clients to their store. */
export const ATTACHING: readonly ProvableRule[] = [
  {
    id: 'A1',
    text: 'attach, where there is one, answers nothing, at once, and leaves all as it is when one more client calls it',
    needs: [],
    async prove({ store }) {
      await store.take(slot('1', { limit: 2 }))
      await store.occupy('a', 'x')
      await store.claimEnd('y', retention())
      const answer: unknown = store.attach?.(USER)
      expectSame('what attach answers', answer, undefined)
      expectSame('what is taken', await usageOf(store, 'a'), { leaseCount: 1, streamIds: new Set(['x']) })
      expectSame('a take on the full engine', await store.take(slot('2', { limit: 2 })), undefined)
      expectSame('ended ids', await endedAmong(store, ['y'], retention()), new Set(['y']))
      expectSame('the promotion of a lease', await store.promote('1', 'z'), true)
    },
  },
]
