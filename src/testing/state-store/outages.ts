import { expectSame } from './expect.ts'
import type { ProvableRule } from './rule.ts'
import { BEGIN, endedAmong, engines, entry, retention, slot, together, usageOf } from './samples.ts'

/** Later than the end of any outage. */
const expiresAt = BEGIN + 24 * 3_600_000

/** Rules about outages in which the state stays intact. */
export const OUTAGES: readonly ProvableRule[] = [
  {
    id: 'O1',
    text: 'a process that lives through an outage keeps its slots, entries and claims',
    needs: ['outage'],
    async prove(trial) {
      const { store } = trial
      await store.take(slot('1', { limit: 2, expiresAt }))
      await store.occupy('a', 'x')
      await store.append(entry('x'))
      await store.claimEnd('y', retention(), 'one')
      await trial.outage()
      expectSame('the slots taken', await usageOf(store, 'a'), { leaseCount: 1, streamIds: new Set(['x']) })
      expectSame('a take on the full engine', await store.take(slot('2', { limit: 2, expiresAt })), undefined)
      expectSame('entries', await store.recover(), [])
      expectSame('a claim of the same end', await store.claimEnd('y', retention(1), 'one'), false)
      expectSame('the promotion of a lease', await store.promote('1', 'z'), true)
      expectSame('releases', [await store.releaseStream('x'), await store.releaseStream('z')], ['a', 'a'])
      expectSame('a take after these releases', await store.take(slot('3', { expiresAt })), 'a')
    },
  },
  {
    id: 'O2',
    text: 'after an outage a process can take every free slot, and none of another living process',
    needs: ['shared', 'outage'],
    async prove(trial) {
      const { store } = trial
      const peer = await trial.peer()
      await store.take(slot('1', { on: 'a', limit: 2, expiresAt }))
      await store.occupy('a', 'x')
      await peer.occupy('b', 'y')
      await trial.outage()
      for (const [index, process] of [peer, store, await trial.peer()].entries()) {
        const request = slot(`late ${index}`, { candidates: engines('a', 'b'), expiresAt })
        expectSame('a take on engines that living processes fill', await process.take(request), undefined)
      }
      expectSame('a third slot of three', await peer.take(slot('2', { on: 'a', limit: 3, expiresAt })), 'a')
      expectSame('a fourth slot of three', await peer.take(slot('3', { on: 'a', limit: 3, expiresAt })), undefined)
      expectSame('the slots of the living processes', [await store.promote('1', 'z'), await peer.releaseStream('y')], [true, 'b'])
      expectSame('a slot that was released after the outage', await store.take(slot('4', { on: 'b', expiresAt })), 'b')
    },
  },
  {
    id: 'O3',
    text: 'after an outage no process recovers an entry of a living process',
    needs: ['shared', 'outage'],
    async prove(trial) {
      const processes = [trial.store, await trial.peer(), await trial.peer()]
      for (const [index, process] of processes.entries()) await process.append(entry(`${index}`))
      await trial.outage()
      for (const round of ['first', 'second']) {
        const answers = await together(processes.length, async (index) => processes[index]?.recover())
        expectSame(`entries, ${round} time`, answers.flat(), [])
        for (const process of processes) await process.renew?.()
      }
    },
  },
  {
    id: 'O4',
    text: 'if a process crashes before an outage, exactly one process recovers its entries after it',
    needs: ['shared', 'durable', 'outage'],
    async prove(trial) {
      const peer = await trial.peer()
      const left = ['1', '2', '3'].map((streamId) => entry(streamId))
      for (const written of left) await trial.store.append(written)
      await peer.append(entry('living'))
      const successor = await trial.crash()
      await trial.outage()
      const answers = await together(6, (index) => (index % 2 === 0 ? peer : successor).recover())
      expectSame('entries that six concurrent calls returned', answers.flat(), left)
      expectSame('entries that later calls returned', [await peer.recover(), await successor.recover()], [[], []])
    },
  },
  {
    id: 'O5',
    text: 'an end that was claimed before an outage stays claimed for every process, and an unclaimed one can be claimed',
    needs: ['shared', 'outage'],
    async prove(trial) {
      const peer = await trial.peer()
      for (const streamId of ['x', 'back']) await trial.store.claimEnd(streamId, retention(), 'one')
      await peer.claimEnd('y', retention())
      await peer.unclaimEnd('back')
      await trial.outage()
      const claims: boolean[] = []
      for (const streamId of ['x', 'y', 'back']) claims.push(await peer.claimEnd(streamId, retention(1), 'one'))
      expectSame('claims', claims, [false, false, true])
      expectSame('ended ids', await endedAmong(trial.store, ['x', 'y', 'back'], retention(1)), new Set(['x', 'y', 'back']))
      expectSame('a claim of a later life', await trial.store.claimEnd('x', retention(2), 'two'), true)
    },
  },
]
