import type { SlotCandidate } from '../../state/store.ts'
import { expectSame, fail } from './expect.ts'
import type { ProvableRule } from './rule.ts'
import { CALLS, engines, present, slot, together } from './samples.ts'

const LIMIT = 7

/** Rules about taking a slot. */
export const TAKING: readonly ProvableRule[] = [
  {
    id: 'S1',
    text: 'take returns the first candidate with room, or undefined if all are full or there is none',
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
    text: 'take reads the candidates before it returns; if it returns synchronously, it reads no more of them than it needs',
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
      // A store that asks a server has to send all candidates.
      if (typeof answer === 'string') expectSame('the candidates read', read, ['a', 'b'])
    },
  },
  {
    id: 'S3',
    text: 'the load of an engine is the number of its leases and of its reported or occupied streams; a stream that is both counts once',
    needs: [],
    async prove({ store }) {
      await store.occupy('a', 'both')
      await store.occupy('a', 'occupied')
      const reported = ['both', 'reported', 'reported']
      expectSame('a fourth slot of four', await store.take(slot('1', { reported, limit: 4 })), 'a')
      expectSame('a fifth slot of four', await store.take(slot('2', { reported, limit: 4 })), undefined)
      expectSame(
        'a fourth slot of four when one stream is no longer reported',
        await store.take(slot('3', { reported: ['both'], limit: 4 })),
        'a',
      )
      expectSame(
        'a slot that only reported streams fill',
        await store.take(slot('4', { on: 'b', reported: ['x', 'y'], limit: 2 })),
        undefined,
      )
    },
  },
  {
    id: 'S4',
    text: `of ${CALLS} concurrent takes exactly as many succeed as there are slots`,
    needs: [],
    async prove({ store }) {
      const answers = await together(CALLS, (index) => store.take(slot(`${index}`, { candidates: engines('a', 'b', 'c'), limit: LIMIT })))
      expectSame(
        'slots taken per engine',
        ['a', 'b', 'c'].map((containerId) => answers.filter((answer) => answer === containerId).length),
        [LIMIT, LIMIT, LIMIT],
      )
    },
  },
  {
    id: 'S5',
    text: 'a take that finds no room changes no state',
    needs: [],
    async prove({ store }) {
      await store.take(slot('first'))
      await together(5, (index) => store.take(slot(`late-${index}`)))
      expectSame('the promotion of a lease that was not taken', await store.promote('late-0', 'x'), false)
      expectSame('the release of a lease that was not taken', await store.releaseLease('late-1'), undefined)
      await store.releaseLease('first')
      expectSame('a take after the only lease was released', await store.take(slot('next')), 'a')
    },
  },
  {
    id: 'S6',
    text: 'each take uses the limit of its own request: a smaller limit takes no slot away, and a larger one makes room',
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
