import { MemoryStore, type Retention } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { BoundedIdSet } from '../../src/state/bounded-id-set.ts'

const slot = (
  leaseId: string,
  {
    containerId = 'a',
    reportedStreamIds = [],
    ...extra
  }: { containerId?: string; limit?: number; reportedStreamIds?: string[]; expiresAt?: number } = {},
) => ({ leaseId, candidates: [{ containerId, reportedStreamIds }], limit: 2, now: 0, expiresAt: 1_000, ...extra })

describe('the memory store', () => {
  it('[I1] counts leases, own streams and reported streams as load, and each stream once', () => {
    const store = new MemoryStore()
    expect(store.take(slot('1', { limit: 3 }))).toBe('a')
    expect(store.promote('1', 'ours')).toBe(true)
    expect(store.take(slot('2', { limit: 3, reportedStreamIds: ['ours', 'theirs'] }))).toBe('a')
    expect(store.take(slot('3', { limit: 3, reportedStreamIds: ['ours', 'theirs'] }))).toBeUndefined()
    expect(store.take(slot('4', { limit: 3, reportedStreamIds: ['ours'] }))).toBe('a')
  })

  it('[I6] promotes a lease to a stream once, and not after the lease was released or has expired', () => {
    const store = new MemoryStore()
    for (const id of ['used', 'released', 'expired']) store.take(slot(id, { limit: 9, expiresAt: id === 'expired' ? 10 : 1_000 }))
    expect(store.releaseLease('released')).toBe('a')
    expect(store.expire(10)).toEqual([{ leaseId: 'expired', containerId: 'a', expiresAt: 10 }])
    expect(['used', 'used', 'released', 'expired'].map((id, index) => store.promote(id, `stream-${index}`))).toEqual([
      true,
      false,
      false,
      false,
    ])
    expect(store.usage().get('a')).toEqual({ leaseCount: 0, streamIds: new Set(['stream-0']) })
    expect(store.releaseLease('used')).toBeUndefined()
  })

  it('frees the slot on the old engine if a stream moves to another engine', () => {
    const store = new MemoryStore()
    store.occupy('a', 'x')
    store.occupy('b', 'x')
    expect([...store.usage().keys()]).toEqual(['b'])
    expect(store.releaseStream('x')).toBe('b')
    expect(store.releaseStream('x')).toBeUndefined()
  })

  it('[I7] keeps no data about an engine without a lease or a stream', () => {
    const store = new MemoryStore()
    for (let i = 0; i < 100; i += 1) {
      store.take(slot(`lease-${i}`, { containerId: `engine-${i}` }))
      store.promote(`lease-${i}`, `stream-${i}`)
      store.releaseStream(`stream-${i}`)
    }
    expect(store.usage().size).toBe(0)
  })
})

describe('ended ids', () => {
  const at = (now: number, max = 100): Retention => ({ now, retentionMs: 1_000, max })

  it('are claimed once within the retention, and again after it', () => {
    const ids = new BoundedIdSet()
    expect([ids.claim('x', at(0)), ids.claim('x', at(999)), ids.claim('x', at(1_000)), ids.claim('x', at(1_001))]).toEqual([
      true,
      false,
      true,
      false,
    ])
  })

  it('are deleted in the order in which they were claimed last', () => {
    const ids = new BoundedIdSet()
    ids.claim('again', at(0))
    ids.claim('old', at(600))
    ids.claim('again', at(1_100)) // its first end is beyond the retention
    expect(ids.forget(at(1_700))).toBe(1)
    expect(ids.claim('again', at(1_700))).toBe(false)
    expect(ids.claim('old', at(1_700))).toBe(true)
  })

  it('[I7] are never more than the maximum', () => {
    const ids = new BoundedIdSet()
    for (let i = 0; i < 1_000; i += 1) ids.claim(`${i}`, at(i / 10, 50))
    expect(ids.size).toBe(50)
    expect([ids.claim('999', at(100, 50)), ids.claim('949', at(100, 50))]).toEqual([false, true])
  })
})
