import { expectSame } from './expect.ts'
import type { ProvableRule } from './rule.ts'
import { CALLS, endedAmong, RETENTION_MS, retention, together } from './samples.ts'

/** Rules about ended ids. */
export const ENDS: readonly ProvableRule[] = [
  {
    id: 'E1',
    text: 'an end can be claimed once within the retention, and again after it',
    needs: [],
    async prove({ store }) {
      const answers: boolean[] = []
      for (const afterMs of [0, 1, RETENTION_MS - 1, RETENTION_MS + 1, RETENTION_MS + 2]) {
        answers.push(await store.claimEnd('x', retention(afterMs)))
      }
      expectSame('claims', answers, [true, false, false, true, false])
      expectSame('a claim of another id', await store.claimEnd('y', retention()), true)
    },
  },
  {
    id: 'E2',
    text: `of ${CALLS} concurrent claims of one end exactly one succeeds`,
    needs: [],
    async prove({ store }) {
      const answers = await together(CALLS, () => store.claimEnd('x', retention()))
      expectSame('claims that succeeded', answers.filter(Boolean).length, 1)
    },
  },
  {
    id: 'E3',
    text: 'unclaimEnd forgets one end, and an unknown id is no error',
    needs: [],
    async prove({ store }) {
      for (const streamId of ['x', 'y']) await store.claimEnd(streamId, retention())
      await store.unclaimEnd('x')
      await store.unclaimEnd('never seen')
      expectSame('ended ids', await endedAmong(store, ['x', 'y'], retention()), new Set(['y']))
      expectSame('claims', [await store.claimEnd('x', retention(1)), await store.claimEnd('y', retention(1))], [true, false])
    },
  },
  {
    id: 'E4',
    text: 'endedAmong returns the requested ids whose end was claimed within the retention',
    needs: [],
    async prove({ store }) {
      await store.claimEnd('old', retention())
      for (const streamId of ['x', 'y', 'not requested']) await store.claimEnd(streamId, retention(1_000))
      const requested = ['x', 'never seen', 'y', 'old']
      const among = async (afterMs: number): Promise<unknown> => endedAmong(store, requested, retention(afterMs))
      expectSame('ended ids', await among(1_000), new Set(['x', 'y', 'old']))
      expectSame('ended ids when one is too old', await among(RETENTION_MS + 1), new Set(['x', 'y']))
      expectSame('ended ids when all are too old', await among(RETENTION_MS + 1_001), new Set())
      expectSame('ended ids of an empty list', await endedAmong(store, [], retention()), new Set())
    },
  },
  {
    id: 'E5',
    text: 'forgetEnded forgets the ids that are older than the retention, returns their number, and keeps the others',
    needs: [],
    async prove({ store }) {
      for (const streamId of ['a', 'b']) await store.claimEnd(streamId, retention())
      for (const streamId of ['c', 'd']) await store.claimEnd(streamId, retention(1_000))
      expectSame('the number forgotten when no id is too old', await store.forgetEnded(retention(RETENTION_MS - 1)), 0)
      const answers = [await store.forgetEnded(retention(RETENTION_MS + 1)), await store.forgetEnded(retention(RETENTION_MS + 1))]
      expectSame('the numbers forgotten by two calls when two ids are too old', answers, [2, 0])
      // At this earlier time no id is too old, so only forgotten ids are missing.
      expectSame('ended ids', await endedAmong(store, ['a', 'b', 'c', 'd'], retention(1_000)), new Set(['c', 'd']))
    },
  },
  {
    id: 'E6',
    text: 'forgetEnded forgets the oldest ids if there are more than the maximum, and never all ids',
    needs: [],
    async prove({ store }) {
      const ids = Array.from({ length: 12 }, (_, index) => `${index}`)
      for (const [index, streamId] of ids.entries()) await store.claimEnd(streamId, retention(index))
      const answers = [await store.forgetEnded(retention(20, 4)), await store.forgetEnded(retention(20, 4))]
      expectSame('the numbers of twelve ids forgotten by two calls with a maximum of four', answers, [8, 0])
      expectSame('ended ids', await endedAmong(store, ids, retention(20)), new Set(['8', '9', '10', '11']))
      await store.forgetEnded(retention(20, 1))
      expectSame('ended ids with a maximum of one', await endedAmong(store, ids, retention(20)), new Set(['11']))
    },
  },
  {
    id: 'E7',
    text: 'claims beyond the maximum never make the store forget the newest ids',
    needs: [],
    async prove({ store }) {
      const ids = Array.from({ length: 60 }, (_, index) => `${index}`)
      for (const [index, streamId] of ids.entries()) {
        expectSame(`the first claim of ${streamId}`, await store.claimEnd(streamId, retention(index, 10)), true)
        expectSame(`the second claim of ${streamId}`, await store.claimEnd(streamId, retention(index, 10)), false)
      }
      await store.forgetEnded(retention(100, 10))
      expectSame('ended ids', await endedAmong(store, ids, retention(100, 10)), new Set(ids.slice(-10)))
    },
  },
  {
    id: 'E8',
    text: 'an end that is claimed again counts as the newest',
    needs: [],
    async prove({ store }) {
      for (const [index, streamId] of ['again', 'b', 'c'].entries()) await store.claimEnd(streamId, retention(index))
      await store.unclaimEnd('again')
      await store.claimEnd('again', retention(10))
      expectSame('the number of three ids forgotten with a maximum of two', await store.forgetEnded(retention(20, 2)), 1)
      expectSame('ended ids', await endedAmong(store, ['again', 'b', 'c'], retention(20)), new Set(['again', 'c']))
    },
  },
  {
    id: 'E9',
    text: 'after a crash the claimed ends are remembered, and the unclaimed ones are not',
    needs: ['durable'],
    async prove(trial) {
      const ids = Array.from({ length: 20 }, (_, index) => `${index}`)
      for (const [index, streamId] of ids.entries()) await trial.store.claimEnd(streamId, retention(index))
      await trial.store.unclaimEnd('19')
      await trial.store.forgetEnded(retention(20, 18))
      const successor = await trial.crash()
      expectSame('ended ids', await endedAmong(successor, ids, retention(20)), new Set(ids.slice(1, 19)))
      expectSame('claims', [await successor.claimEnd('18', retention(20)), await successor.claimEnd('19', retention(20))], [false, true])
      expectSame('the number forgotten with a maximum of two', await successor.forgetEnded(retention(20, 2)), 17)
      expectSame('the newest', await endedAmong(successor, ids, retention(20)), new Set(['18', '19']))
    },
  },
  {
    id: 'E10',
    text: 'a claim of another life of an id succeeds once and replaces the claim before it; a claim without a life counts as the same life',
    needs: [],
    async prove({ store }) {
      const claims: unknown[] = []
      for (const life of ['one', 'one', undefined, '', 'two', 'two', 'one']) claims.push(await store.claimEnd('x', retention(), life))
      expectSame('claims', claims, [true, false, false, false, true, false, true])
      expectSame('a claim without a life', await store.claimEnd('y', retention()), true)
      expectSame('a claim with a life after it', await store.claimEnd('y', retention(), 'one'), false)
      expectSame(
        'ended ids',
        await store.endedAmong(['x', 'y', 'z'], retention()),
        new Map([
          ['x', 'one'],
          ['y', ''],
        ]),
      )
      const answers = await together(CALLS, () => store.claimEnd('x', retention(), 'three'))
      expectSame('concurrent claims of one more life that succeeded', answers.filter(Boolean).length, 1)
    },
  },
  {
    id: 'E11',
    text: 'a claim of another life counts as the newest, and a claim after unclaimEnd or forgetEnded does not keep the old life',
    needs: [],
    async prove({ store }) {
      for (const [index, streamId] of ['again', 'b', 'c'].entries()) await store.claimEnd(streamId, retention(index), 'one')
      await store.claimEnd('again', retention(10), 'two')
      expectSame('the number of three ids forgotten with a maximum of two', await store.forgetEnded(retention(20, 2)), 1)
      expectSame(
        'ended ids',
        await store.endedAmong(['again', 'b', 'c'], retention(20)),
        new Map([
          ['again', 'two'],
          ['c', 'one'],
        ]),
      )
      await store.unclaimEnd('c')
      for (const streamId of ['b', 'c']) await store.claimEnd(streamId, retention(21))
      expectSame(
        'ids claimed again',
        await store.endedAmong(['b', 'c'], retention(21)),
        new Map([
          ['b', ''],
          ['c', ''],
        ]),
      )
    },
  },
  {
    id: 'E12',
    text: 'after a crash the lives of the ended ids are remembered',
    needs: ['durable'],
    async prove(trial) {
      await trial.store.claimEnd('x', retention(), 'one')
      await trial.store.claimEnd('x', retention(1), 'two')
      await trial.store.claimEnd('y', retention(2))
      const successor = await trial.crash()
      expectSame(
        'ended ids',
        await successor.endedAmong(['x', 'y'], retention(3)),
        new Map([
          ['x', 'two'],
          ['y', ''],
        ]),
      )
      const claims = [await successor.claimEnd('x', retention(3), 'two'), await successor.claimEnd('x', retention(3), 'three')]
      expectSame('claims of the same life and of another', claims, [false, true])
    },
  },
]
