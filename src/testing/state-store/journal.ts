import { expectSame } from './expect.ts'
import type { ProvableRule } from './rule.ts'
import { entry, retention, together } from './samples.ts'

/** Rules about the journal. */
export const JOURNAL: readonly ProvableRule[] = [
  {
    id: 'J1',
    text: 'recover returns no entry of a living process',
    needs: [],
    async prove({ store }) {
      expectSame('entries of an empty journal', await store.recover(), [])
      for (const streamId of ['x', 'y']) await store.append(entry(streamId))
      expectSame('entries after two appends by the same process', await store.recover(), [])
      await store.settle('x')
      expectSame('entries after one of them was settled', await store.recover(), [])
    },
  },
  {
    id: 'J2',
    text: 'append may be repeated, and settle is no error for an unknown or settled id',
    needs: [],
    async prove({ store }) {
      await store.settle('never written')
      for (const isOver of [false, true]) await store.append(entry('x', { isOver }))
      for (let i = 0; i < 2; i += 1) await store.settle('x')
    },
  },
  {
    id: 'J3',
    text: 'recover returns the unsettled entries of a dead process, complete and in the order in which they were written',
    needs: ['durable'],
    async prove(trial) {
      const entries = Array.from({ length: 30 }, (_, index) => entry(`${(index * 7) % 30}`, { proxyId: `proxy-${index % 2}` }))
      entries.push(
        { streamId: 'bare', proxyId: 'proxy', isOver: false },
        entry('over', { isOver: true, reason: 'viewer left', life: 'one' }),
      )
      for (const written of entries) await trial.store.append(written)
      const settled = ['3', '4', '28', 'never written']
      for (const streamId of settled) await trial.store.settle(streamId)
      const left = entries.filter(({ streamId }) => !settled.includes(streamId))
      const successor = await trial.crash()
      expectSame('entries', await successor.recover(), left)
    },
  },
  {
    id: 'J4',
    text: 'append replaces the entry of the same id',
    needs: ['durable'],
    async prove(trial) {
      await trial.store.append({ streamId: 'x', proxyId: 'one', isOver: false, reason: 'none' })
      await trial.store.append(entry('x', { isOver: true, containerId: 'b' }))
      await trial.store.append(entry('back'))
      await trial.store.settle('back')
      await trial.store.append(entry('back', { containerId: 'c' }))
      const successor = await trial.crash()
      expectSame('entries', await successor.recover(), [
        entry('x', { isOver: true, containerId: 'b' }),
        entry('back', { containerId: 'c' }),
      ])
    },
  },
  {
    id: 'J5',
    text: 'recover returns each entry once',
    needs: ['durable'],
    async prove(trial) {
      for (const streamId of ['x', 'y']) await trial.store.append(entry(streamId))
      const successor = await trial.crash()
      const answers = await together(5, () => successor.recover())
      expectSame('entries that five concurrent calls returned', answers.flat(), [entry('x'), entry('y')])
      expectSame('entries that one more call returned', await successor.recover(), [])
    },
  },
  {
    id: 'J6',
    text: 'if a process recovers entries and crashes, the next process recovers those that were not settled',
    needs: ['durable'],
    async prove(trial) {
      for (const streamId of ['x', 'y', 'z']) await trial.store.append(entry(streamId))
      const second = await trial.crash()
      await second.recover()
      await second.settle('y')
      await second.append(entry('z', { isOver: true }))
      const third = await trial.crash()
      expectSame('entries', new Set(await third.recover()), new Set([entry('x'), entry('z', { isOver: true })]))
      const fourth = await trial.crash()
      expectSame('entries after one more crash', (await fourth.recover()).length, 2)
      for (const streamId of ['x', 'z']) await fourth.settle(streamId)
      const fifth = await trial.crash()
      expectSame('entries when all are settled', await fifth.recover(), [])
    },
  },
  {
    id: 'J7',
    text: 'entries that a process did not recover stay available to the next process',
    needs: ['durable'],
    async prove(trial) {
      await trial.store.append(entry('x'))
      const second = await trial.crash()
      await second.append(entry('y'))
      await second.claimEnd('x', retention())
      const third = await trial.crash()
      expectSame('entries', new Set(await third.recover()), new Set([entry('x'), entry('y')]))
    },
  },
  {
    id: 'J8',
    text: 'recover leaves out entries that a living process has written again or settled since',
    needs: ['durable'],
    async prove(trial) {
      for (const streamId of ['written again', 'settled', 'left']) await trial.store.append(entry(streamId))
      const successor = await trial.crash()
      await successor.append(entry('written again', { containerId: 'b' }))
      await successor.settle('settled')
      expectSame('entries', await successor.recover(), [entry('left')])
    },
  },
  {
    id: 'J9',
    text: 'settle keeps an entry that a dead process left for another life; it removes one of the same or an unknown life',
    needs: ['durable'],
    async prove(trial) {
      for (const streamId of ['later', 'same', 'not settled']) await trial.store.append(entry(streamId, { life: 'one' }))
      for (const streamId of ['unknown', 'empty']) await trial.store.append(entry(streamId, { life: 'one' }))
      await trial.store.append(entry('bare'))
      const successor = await trial.crash()
      await successor.settle('later', 'two')
      await successor.settle('same', 'one')
      await successor.settle('unknown')
      await successor.settle('empty', '')
      await successor.settle('bare', 'two')
      const left = [entry('later', { life: 'one' }), entry('not settled', { life: 'one' })]
      expectSame('entries', await successor.recover(), left)
    },
  },
  {
    id: 'J10',
    text: 'settle removes an entry that its own process wrote or recovered, whatever the life',
    needs: ['durable'],
    async prove(trial) {
      for (const streamId of ['recovered', 'left']) await trial.store.append(entry(streamId, { life: 'one' }))
      const second = await trial.crash()
      await second.recover()
      await second.append(entry('written', { life: 'one' }))
      for (const streamId of ['recovered', 'written']) await second.settle(streamId, 'two')
      const third = await trial.crash()
      expectSame('entries', await third.recover(), [entry('left', { life: 'one' })])
    },
  },
  {
    id: 'J11',
    text: 'renew, if the store has it, brings no settled entry back',
    needs: ['durable'],
    async prove(trial) {
      for (const streamId of ['settled', 'left', 'settled later']) await trial.store.append(entry(streamId))
      await trial.store.settle('settled')
      await trial.store.renew?.()
      await trial.store.settle('settled later')
      for (let i = 0; i < 2; i += 1) await trial.store.renew?.()
      const successor = await trial.crash()
      expectSame('entries', await successor.recover(), [entry('left')])
    },
  },
]
