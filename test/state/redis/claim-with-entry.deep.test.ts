import type { JournalEntry } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { Fleet, outlive, retention } from '../../support/redis-fleet.ts'
import { isRedisMissing } from '../../support/redis-server.ts'

const start: JournalEntry = { streamId: 'x', containerId: 'a', proxyId: 'p', isOver: false, life: 'one' }
const end: JournalEntry = { streamId: 'x', proxyId: 'p', isOver: true, reason: 'left', life: 'one' }

describe.skipIf(isRedisMissing)('an end that is claimed together with its journal entry', () => {
  it('[I5] is recovered with its reason if its process dies before it is sent', async () => {
    await using fleet = await Fleet.start()
    const [dead, next] = [await fleet.store(), await fleet.store()]
    await dead.append(start)
    expect(await dead.claimEndWith(end, retention(), 'one')).toBe(true)
    await outlive(next)
    expect(await next.recover()).toEqual([end])
  })

  it('changes no entry if another process has claimed the end', async () => {
    await using fleet = await Fleet.start()
    const [owner, other, next] = [await fleet.store(), await fleet.store(), await fleet.store()]
    await owner.append(start)
    expect(await owner.claimEnd('x', retention(), 'one')).toBe(true)
    expect(await other.claimEndWith(end, retention(), 'one')).toBe(false)
    await outlive(other, next)
    expect(await next.recover()).toEqual([start])
  })

  it('is written when Redis answers again if it was claimed without Redis', async () => {
    await using fleet = await Fleet.start()
    const [store, other] = [await fleet.store({ timeoutMs: 100 }), await fleet.store()]
    await store.append(start)
    await fleet.server.kill()
    expect(await store.claimEndWith(end, retention(), 'one')).toBe(true)
    expect(await store.claimEndWith(end, retention(), 'one')).toBe(false)
    await fleet.server.start()
    await fleet.reconnected()
    await outlive(store, other)
    expect(await fleet.journal()).toEqual(['x'])
    await store.settle('x', 'one')
    expect(await fleet.journal()).toEqual([])
  })
})
