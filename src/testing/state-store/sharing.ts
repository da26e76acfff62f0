import { expectSame } from './expect.ts'
import type { ProvableRule } from './rule.ts'
import { BEGIN, CALLS, endedAmong, engines, entry, LEASE_MS, present, retention, slot, together, usageOf } from './samples.ts'

const LIMIT = 7

/** Rules about several processes that share the state. */
export const SHARING: readonly ProvableRule[] = [
  {
    id: 'P1',
    text: 'the limit holds across processes: the leases and streams of all processes count, and a stream that is also reported counts once',
    needs: ['shared'],
    async prove(trial) {
      const { store } = trial
      const peer = await trial.peer()
      await store.take(slot('1', { limit: 4 }))
      await store.occupy('a', 'x')
      expectSame('a third slot of four', await peer.take(slot('2', { reported: ['x'], limit: 4 })), 'a')
      expectSame('a fourth slot of four', await peer.take(slot('3', { reported: ['x'], limit: 4 })), 'a')
      for (const process of [store, peer]) {
        expectSame('a fifth slot of four', await process.take(slot('4', { reported: ['x'], limit: 4 })), undefined)
      }
      await store.releaseStream('x')
      expectSame('a slot that another process released', await peer.take(slot('5', { limit: 4 })), 'a')
      await peer.promote('2', 'y')
      expectSame('a slot that another process promoted', await store.take(slot('6', { limit: 4 })), undefined)
    },
  },
  {
    id: 'P2',
    text: `of ${CALLS} concurrent takes by two processes exactly as many succeed as there are slots`,
    needs: ['shared'],
    async prove(trial) {
      const processes = [trial.store, await trial.peer()]
      const answers = await together(CALLS, async (index) =>
        processes[index % 2]?.take(slot(`${index}`, { candidates: engines('a', 'b'), limit: LIMIT })),
      )
      expectSame(
        'slots taken per engine',
        ['a', 'b'].map((containerId) => answers.filter((answer) => answer === containerId).length),
        [LIMIT, LIMIT],
      )
    },
  },
  {
    id: 'P3',
    text: 'expire returns only the leases of its own process',
    needs: ['shared'],
    async prove(trial) {
      const peer = await trial.peer()
      await trial.store.take(slot('ours', { limit: 2 }))
      await peer.take(slot('theirs', { limit: 2 }))
      const now = BEGIN + LEASE_MS
      const record = (leaseId: string) => ({ leaseId, containerId: 'a', expiresAt: now })
      expectSame('leases of the peer', await peer.expire(now), [record('theirs')])
      expectSame('leases of the first', await trial.store.expire(now), [record('ours')])
      const takes = [await peer.take(slot('1', { limit: 2, now })), await trial.store.take(slot('2', { limit: 2, now }))]
      expectSame('takes after both slots were freed', takes, ['a', 'a'])
    },
  },
  {
    id: 'P4',
    text: 'only one of several processes can claim an end, and a claim, unclaimEnd or forgetEnded of one process applies to all',
    needs: ['shared'],
    async prove(trial) {
      const { store } = trial
      const peer = await trial.peer()
      const answers = await together(CALLS, (index) => (index % 2 === 0 ? store : peer).claimEnd('x', retention()))
      expectSame('concurrent claims that succeeded', answers.filter(Boolean).length, 1)
      await peer.claimEnd('y', retention(1))
      expectSame('ended ids', await endedAmong(store, ['x', 'y', 'z'], retention(1)), new Set(['x', 'y']))
      await store.unclaimEnd('y')
      expectSame('a claim of an end that another process unclaimed', await peer.claimEnd('y', retention(2)), true)
      expectSame('the number forgotten with a maximum of one', await peer.forgetEnded(retention(2, 1)), 1)
      expectSame('ended ids afterwards', await endedAmong(store, ['x', 'y'], retention(2)), new Set(['y']))
      await peer.claimEnd('y', retention(3), 'two')
      expectSame('a claim by another process of the same life', await store.claimEnd('y', retention(3), 'two'), false)
    },
  },
  {
    id: 'P5',
    text: 'recover returns no entry of another living process',
    needs: ['shared'],
    async prove(trial) {
      const peer = await trial.peer()
      await trial.store.append(entry('ours'))
      await peer.append(entry('theirs'))
      expectSame('entries', [await peer.recover(), await trial.store.recover()], [[], []])
    },
  },
  {
    id: 'P6',
    text: 'a crash frees only the slots of the dead process, and only its entries can be recovered',
    needs: ['shared', 'durable'],
    async prove(trial) {
      const peer = await trial.peer()
      await trial.store.occupy('a', 'x')
      await trial.store.append(entry('x'))
      await peer.occupy('a', 'y')
      await peer.append(entry('y'))
      const successor = await trial.crash()
      expectSame('entries', await successor.recover(), [entry('x')])
      const takes = [await successor.take(slot('1', { limit: 2 })), await successor.take(slot('2', { limit: 2 }))]
      expectSame('takes on an engine of two slots, where a living process has one', takes, ['a', undefined])
      expectSame('whether the peer still has its stream', (await usageOf(peer, 'a')).streamIds.has('y'), true)
      expectSame('the slot of the peer', await peer.releaseStream('y'), 'a')
    },
  },
  {
    id: 'P7',
    text: 'if processes recover concurrently, each entry is returned once',
    needs: ['shared', 'durable'],
    async prove(trial) {
      const peers = [await trial.peer(), await trial.peer()]
      const ids = Array.from({ length: 40 }, (_, index) => `${index}`)
      for (const streamId of ids) await trial.store.append(entry(streamId))
      const processes = [...peers, await trial.crash()]
      const answers = await together(9, async (index) => processes[index % 3]?.recover())
      const recovered = present(answers).flatMap((entries) => entries.map(({ streamId }) => streamId))
      expectSame('entries', recovered.toSorted(), ids.toSorted())
    },
  },
  {
    id: 'P8',
    text: 'recover returns an entry of a dead process only if no living process has written it again or settled it since',
    needs: ['shared', 'durable'],
    async prove(trial) {
      const peer = await trial.peer()
      for (const streamId of ['written again', 'settled', 'left']) await trial.store.append(entry(streamId))
      await peer.append(entry('handed over'))
      await peer.append(entry('written again', { proxyId: 'peer' }))
      await peer.settle('settled')
      await trial.store.append(entry('handed over', { isOver: true }))
      const successor = await trial.crash()
      const left = new Set([entry('left'), entry('handed over', { isOver: true })])
      expectSame('entries', new Set(await successor.recover()), left)
      expectSame('entries for the peer', await peer.recover(), [])
    },
  },
  {
    id: 'P10',
    text: 'settle by another process keeps an entry of a later life and removes one of the same life, and renew brings no removed entry back',
    needs: ['shared', 'durable'],
    async prove(trial) {
      const { store } = trial
      const peer = await trial.peer()
      // The owner announced the stream again before the peer settled its first life.
      for (const life of ['one', 'two']) await store.append(entry('again', { life }))
      for (const streamId of ['same', 'unknown']) await store.append(entry(streamId, { life: 'one' }))
      await store.append(entry('bare'))
      await peer.settle('again', 'one')
      await peer.settle('same', 'one')
      await peer.settle('unknown')
      await peer.settle('bare', 'one')
      for (let i = 0; i < 2; i += 1) for (const process of [store, peer]) await process.renew?.()
      const successor = await trial.crash()
      expectSame('entries', await successor.recover(), [entry('again', { life: 'two' })])
    },
  },
  {
    id: 'P11',
    text: 'a slot that a process releases is free for the others at once, and stays free when that process renews',
    needs: ['shared'],
    async prove(trial) {
      const { store } = trial
      const peer = await trial.peer()
      const freed = ['released', 'expired', 'promoted', 'occupied', 'moved']
      const expiresAt = BEGIN + 1
      for (const on of freed.slice(0, 3)) await store.take(slot(on, { on, ...(on === 'expired' ? { expiresAt } : {}) }))
      await store.promote('promoted', 'x')
      for (const [on, streamId] of [['occupied', 'y'] as const, ['moved', 'z'] as const]) await store.occupy(on, streamId)
      await store.renew?.()
      await store.releaseLease('released')
      await store.expire(expiresAt)
      for (const streamId of ['x', 'y']) await store.releaseStream(streamId)
      await store.occupy('elsewhere', 'z')
      for (const when of ['at once', 'after a renewal', 'after two renewals']) {
        const takes: unknown[] = []
        for (const on of freed) takes.push(await peer.take(slot(`${when} ${on}`, { on })))
        expectSame(`takes by another process ${when}`, takes, freed)
        for (const on of freed) await peer.releaseLease(`${when} ${on}`)
        await store.renew?.()
      }
    },
  },
]
