import { expectSame } from './expect.ts'
import type { ProvableRule } from './rule.ts'
import { BEGIN, endedAmong, engines, entry, retention, slot, together, usageOf } from './samples.ts'

/** Later than any outage ends. */
const expiresAt = BEGIN + 24 * 3_600_000

/** Outages of the state in which nothing is lost. */
export const OUTAGES: readonly ProvableRule[] = [
  {
    id: 'O1',
    text: 'an outage takes nothing away from a process that lives through it',
    needs: ['outage'],
    async prove(trial) {
      const { store } = trial
      await store.take(slot('1', { limit: 2, expiresAt }))
      await store.occupy('a', 'x')
      await store.append(entry('x'))
      await store.claimEnd('y', retention(), 'one')
      await trial.outage()
      expectSame('what is taken', await usageOf(store, 'a'), { leaseCount: 1, streamIds: new Set(['x']) })
      expectSame('a take on the full engine', await store.take(slot('2', { limit: 2, expiresAt })), undefined)
      expectSame('entries', await store.recover(), [])
      expectSame('a claim of the same end', await store.claimEnd('y', retention(1), 'one'), false)
      expectSame('the promotion of a lease', await store.promote('1', 'z'), true)
      expectSame('releases', [await store.releaseStream('x'), await store.releaseStream('z')], ['a', 'a'])
      expectSame('a take then', await store.take(slot('3', { expiresAt })), 'a')
    },
  },
  {
    id: 'O2',
    text: 'after an outage another process gets no slot of a living one, and all that are free',
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
        expectSame('a take on engines where the living fill all slots', await process.take(request), undefined)
      }
      expectSame('a third slot of three', await peer.take(slot('2', { on: 'a', limit: 3, expiresAt })), 'a')
      expectSame('a fourth slot of three', await peer.take(slot('3', { on: 'a', limit: 3, expiresAt })), undefined)
      expectSame('the slots of the living', [await store.promote('1', 'z'), await peer.releaseStream('y')], [true, 'b'])
      expectSame('a slot that was released after the outage', await store.take(slot('4', { on: 'b', expiresAt })), 'b')
    },
  },
  {
    id: 'O3',
    text: 'after an outage recover answers nothing that a living process wrote, whichever process asks',
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
    text: 'what a process left that crashed before an outage is answered after it, to exactly one process',
    needs: ['shared', 'durable', 'outage'],
    async prove(trial) {
      const peer = await trial.peer()
      const left = ['1', '2', '3'].map((streamId) => entry(streamId))
      for (const written of left) await trial.store.append(written)
      await peer.append(entry('living'))
      const successor = await trial.crash()
      await trial.outage()
      const answers = await together(6, (index) => (index % 2 === 0 ? peer : successor).recover())
      expectSame('entries, asked six times at once', answers.flat(), left)
      expectSame('entries, asked again', [await peer.recover(), await successor.recover()], [[], []])
    },
  },
  {
    id: 'O5',
    text: 'an end that was claimed before an outage stays claimed, whichever process asks, and an unclaimed one does not',
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
