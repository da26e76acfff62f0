import type { EngineUsage } from '../../state/store.ts'
import { expectSame } from './expect.ts'
import type { ProvableRule } from './rule.ts'
import { BEGIN, byId, LEASE_MS, slot, together, usageOf } from './samples.ts'

const DUE = BEGIN + LEASE_MS
const NO_SLOTS: EngineUsage = { leaseCount: 0, streamIds: new Set() }

/** Rules about a slot that is held, and about its release. */
export const HOLDING: readonly ProvableRule[] = [
  {
    id: 'S7',
    text: 'promote succeeds once for a lease, and never for one that is unknown, released or expired',
    needs: [],
    async prove({ store }) {
      for (const leaseId of ['used', 'released']) await store.take(slot(leaseId, { limit: 9 }))
      await store.take(slot('expired', { limit: 9, expiresAt: BEGIN + 1 }))
      await store.releaseLease('released')
      await store.expire(BEGIN + 1)
      const answers: unknown[] = []
      for (const leaseId of ['used', 'used', 'released', 'expired', 'never']) answers.push(await store.promote(leaseId, `of-${leaseId}`))
      expectSame('promotions', answers, [true, false, false, false, false])
      expectSame('the slots taken afterwards', await usageOf(store, 'a'), { leaseCount: 0, streamIds: new Set(['of-used']) })
      expectSame('the stream of a released lease', await store.releaseStream('of-released'), undefined)
      await store.take(slot('contended', { on: 'b' }))
      const atOnce = await together(20, (index) => store.promote('contended', `${index}`))
      expectSame('concurrent promotions of one lease that succeeded', atOnce.filter(Boolean).length, 1)
      expectSame('the streams of these promotions', (await usageOf(store, 'b')).streamIds.size, 1)
    },
  },
  {
    id: 'S8',
    text: 'promote keeps the slot: no concurrent take gets it',
    needs: [],
    async prove({ store }) {
      for (let round = 0; round < 10; round += 1) {
        const on = `engine-${round}`
        await store.take(slot(`lease-${round}`, { on }))
        const takes = () => together(10, (index) => store.take(slot(`other-${round}-${index}`, { on })))
        const early = takes()
        const promotion = store.promote(`lease-${round}`, `stream-${round}`)
        const late = takes()
        expectSame('the promotion', await promotion, true)
        const answers = [...(await early), ...(await late), await store.take(slot(`last-${round}`, { on }))]
        expectSame('takes around a promotion', new Set(answers), new Set([undefined]))
        expectSame('the slot', await store.releaseStream(`stream-${round}`), on)
        expectSame('a take after its release', await store.take(slot(`next-${round}`, { on })), on)
      }
    },
  },
  {
    id: 'S9',
    text: 'occupy counts a stream even on a full engine, and counts each stream once',
    needs: [],
    async prove({ store }) {
      await store.take(slot('1'))
      for (const streamId of ['x', 'y', 'x']) await store.occupy('a', streamId)
      expectSame('the slots taken', await usageOf(store, 'a'), { leaseCount: 1, streamIds: new Set(['x', 'y']) })
      expectSame('a fourth slot of four', await store.take(slot('2', { limit: 4 })), 'a')
      expectSame('a fifth slot of four', await store.take(slot('3', { limit: 4 })), undefined)
    },
  },
  {
    id: 'S10',
    text: 'occupy moves a stream from another engine, whose slot becomes free',
    needs: [],
    async prove({ store }) {
      await store.occupy('a', 'x')
      await store.occupy('b', 'x')
      expectSame('a take on its old engine', await store.take(slot('1', { on: 'a' })), 'a')
      expectSame('a take on its new engine', await store.take(slot('2', { on: 'b' })), undefined)
      expectSame('its engine', await store.releaseStream('x'), 'b')
      expectSame('its engine after its release', await store.releaseStream('x'), undefined)
    },
  },
  {
    id: 'S11',
    text: 'releaseLease and releaseStream free the slot once and return its engine; later calls return undefined',
    needs: [],
    async prove({ store }) {
      await store.take(slot('1', { limit: 2 }))
      await store.occupy('a', 'x')
      const answers = [await store.releaseLease('1'), await store.releaseLease('1'), await store.releaseLease('x')]
      answers.push(await store.releaseStream('x'), await store.releaseStream('x'), await store.releaseStream('1'))
      expectSame('releases', answers, ['a', undefined, undefined, 'a', undefined, undefined])
      const takes = [await store.take(slot('2')), await store.take(slot('3'))]
      expectSame('takes on the engine with one free slot', takes, ['a', undefined])
      const atOnce = await together(20, () => store.releaseLease('2'))
      expectSame('concurrent releases of one lease that succeeded', atOnce.filter((answer) => answer === 'a').length, 1)
    },
  },
  {
    id: 'S12',
    text: 'expire returns each lease that is due once, and frees its slot',
    needs: [],
    async prove({ store }) {
      await store.take(slot('early', { limit: 4, expiresAt: DUE - 1 }))
      await store.take(slot('due', { limit: 4, expiresAt: DUE }))
      await store.take(slot('late', { limit: 4, expiresAt: DUE + 1 }))
      await store.take(slot('promoted', { limit: 4, expiresAt: DUE - 1 }))
      await store.promote('promoted', 'x')
      expectSame('expired leases before any is due', await store.expire(BEGIN), [])
      const answers = await together(10, () => store.expire(DUE))
      const expired = [
        { leaseId: 'due', containerId: 'a', expiresAt: DUE },
        { leaseId: 'early', containerId: 'a', expiresAt: DUE - 1 },
      ]
      expectSame('leases that ten concurrent calls of expire returned', byId(answers.flat()), expired)
      expectSame('the slots taken afterwards', await usageOf(store, 'a'), { leaseCount: 1, streamIds: new Set(['x']) })
      const request = { limit: 3, now: DUE, expiresAt: DUE + LEASE_MS }
      const takes = [await store.take(slot('1', request)), await store.take(slot('2', request))]
      expectSame('takes after these slots were freed', takes, ['a', undefined])
      expectSame('the last lease', await store.releaseLease('late'), 'a')
    },
  },
  {
    id: 'S13',
    text: 'usage shows the slots of this process after every step',
    needs: [],
    async prove({ store }) {
      const seen = async (step: string, leaseCount: number, ...streamIds: readonly string[]): Promise<void> =>
        expectSame(`usage after ${step}`, await usageOf(store, 'a'), { leaseCount, streamIds: new Set(streamIds) })
      await seen('nothing', 0)
      for (const leaseId of ['1', '2', '3']) await store.take(slot(leaseId, { limit: 9, expiresAt: leaseId === '3' ? BEGIN + 1 : DUE }))
      await seen('three takes', 3)
      await store.promote('1', 'x')
      await seen('a promotion', 2, 'x')
      await store.releaseLease('2')
      await seen('a release', 1, 'x')
      await store.expire(BEGIN + 1)
      await seen('an expiry', 0, 'x')
      await store.occupy('a', 'y')
      await seen('an occupation', 0, 'x', 'y')
      await store.occupy('b', 'x')
      await seen('a move', 0, 'y')
      await store.releaseStream('y')
      await seen('the end', 0)
      expectSame('usage of the other engine', await usageOf(store, 'b'), { leaseCount: 0, streamIds: new Set(['x']) })
    },
  },
  {
    id: 'S14',
    text: 'renew, if the store has it, changes no slot, however often it is called',
    needs: [],
    async prove({ store }) {
      await store.take(slot('1', { limit: 2 }))
      await store.occupy('a', 'x')
      for (let i = 0; i < 3; i += 1) await store.renew?.()
      expectSame('the slots taken', await usageOf(store, 'a'), { leaseCount: 1, streamIds: new Set(['x']) })
      expectSame('a take on the full engine', await store.take(slot('2', { limit: 2 })), undefined)
      expectSame('the promotion of a lease renewed', await store.promote('1', 'y'), true)
    },
  },
  {
    id: 'S16',
    text: 'onUsageChanged, if the store has it, reports each change of usage in time, until the listener is removed',
    needs: [],
    async prove({ store }) {
      if (store.onUsageChanged === undefined) return
      const reported = new Map<string, EngineUsage>()
      let callsAfterRemoval = 0
      const removed = store.onUsageChanged(() => {
        callsAfterRemoval += 1
      })
      const remove = store.onUsageChanged((changedId, usage) => {
        const of = (usages: ReadonlyMap<string, EngineUsage>): void => {
          for (const [containerId, { leaseCount, streamIds }] of usages)
            reported.set(containerId, { leaseCount, streamIds: new Set(streamIds) })
        }
        if (changedId === undefined) of(store.usage() as ReadonlyMap<string, EngineUsage>)
        else of(new Map([[changedId, usage ?? NO_SLOTS]]))
      })
      removed()
      const same = async (step: string): Promise<void> => {
        for (const id of ['a', 'b'])
          expectSame(`the reported usage of ${id} after ${step}`, reported.get(id) ?? NO_SLOTS, await usageOf(store, id))
      }
      for (const leaseId of ['1', '2', '3']) await store.take(slot(leaseId, { limit: 9, expiresAt: leaseId === '3' ? BEGIN + 1 : DUE }))
      await same('three takes')
      await store.promote('1', 'x')
      await same('a promotion')
      await store.releaseLease('2')
      await same('a release')
      await store.expire(BEGIN + 1)
      await same('an expiry')
      await store.occupy('b', 'x')
      await same('a move')
      await store.releaseStream('x')
      await same('the end')
      remove()
      expectSame('calls of a listener that was removed', callsAfterRemoval, 0)
    },
  },
]
