import type { SlotCandidate } from '../../state/store.ts'
import { expectSame, fail } from './expect.ts'
import type { ProvableRule } from './rule.ts'
import { CROWD, engines, present, slot, together } from './samples.ts'

const LIMIT = 7

/** Taking a slot. */
export const TAKING: readonly ProvableRule[] = [
  {
    id: 'S1',
    text: 'take answers the first candidate with room, and undefined where all are full or there is none',
    needs: [],
    async prove({ store }) {
      const answers: unknown[] = []
      for (const leaseId of ['1', '2', '3', '4', '5']) {
        answers.push(await store.take(slot(leaseId, { candidates: engines('a', 'b'), limit: 2 })))
      }
      expectSame('five takes on two engines of two slots', answers, ['a', 'a', 'b', 'b', undefined])
      expectSame('a take without candidates', await store.take(slot('6', { candidates: [] })), undefined)
      expectSame('a take in another order', await store.take(slot('7', { candidates: engines('c', 'b') })), 'c')
    },
  },
  {
    id: 'S2',
    text: 'take reads the candidates before it returns, and no further than needed where it answers at once',
    needs: [],
    async prove({ store }) {
      await store.take(slot('full', { on: 'a' }))
      const read: string[] = []
      let isReturned = false
      function* candidates(): Generator<SlotCandidate> {
        for (const containerId of ['a', 'b', 'c']) {
          if (isReturned) fail(`candidate ${containerId} was read after take had returned`)
          read.push(containerId)
          yield { containerId, reportedStreamIds: [] }
        }
      }
      const answer = store.take(slot('1', { candidates: candidates() }))
      isReturned = true
      expectSame('the take', await answer, 'b')
      // A store that decides elsewhere has to take all of them along.
      if (typeof answer === 'string') expectSame('the candidates read', read, ['a', 'b'])
    },
  },
  {
    id: 'S3',
    text: 'load is the union of the ids reported and the ids live there, plus leases: a stream seen from both sides counts once',
    needs: [],
    async prove({ store }) {
      await store.occupy('a', 'both')
      await store.occupy('a', 'here')
      const reported = ['both', 'there', 'there']
      expectSame('a fourth slot of four', await store.take(slot('1', { reported, limit: 4 })), 'a')
      expectSame('a fifth slot of four', await store.take(slot('2', { reported, limit: 4 })), undefined)
      expectSame('a fourth slot of four once one is not reported', await store.take(slot('3', { reported: ['both'], limit: 4 })), 'a')
      expectSame(
        'a slot that only reported streams fill',
        await store.take(slot('4', { on: 'b', reported: ['x', 'y'], limit: 2 })),
        undefined,
      )
    },
  },
  {
    id: 'S4',
    text: `of ${CROWD} takes at once exactly as many succeed as there are slots`,
    needs: [],
    async prove({ store }) {
      const answers = await together(CROWD, (index) => store.take(slot(`${index}`, { candidates: engines('a', 'b', 'c'), limit: LIMIT })))
      expectSame(
        'slots taken per engine',
        ['a', 'b', 'c'].map((containerId) => answers.filter((answer) => answer === containerId).length),
        [LIMIT, LIMIT, LIMIT],
      )
    },
  },
  {
    id: 'S5',
    text: 'a take that found no room leaves nothing behind',
    needs: [],
    async prove({ store }) {
      await store.take(slot('first'))
      await together(5, (index) => store.take(slot(`late-${index}`)))
      expectSame('promoting what was not taken', await store.promote('late-0', 'x'), false)
      expectSame('releasing what was not taken', await store.releaseLease('late-1'), undefined)
      await store.releaseLease('first')
      expectSame('a take once the only lease was given back', await store.take(slot('next')), 'a')
    },
  },
  {
    id: 'S6',
    text: 'the limit is the one of the request: a smaller one later takes nothing away, a larger one has room',
    needs: [],
    async prove({ store }) {
      for (const leaseId of ['1', '2']) await store.take(slot(leaseId, { limit: 2 }))
      const answers = [await store.take(slot('3', { limit: 1 })), await store.take(slot('4', { limit: 3 }))]
      expectSame('takes with a smaller and with a larger limit', answers, [undefined, 'a'])
      const released = await together(2, (index) => store.releaseLease(`${index + 1}`))
      expectSame('the leases taken before', present(released), ['a', 'a'])
    },
  },
]
