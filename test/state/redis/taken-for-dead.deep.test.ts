import type { JournalEntry } from 'acestream-orchestrator-client'
import { type RedisClient, RedisStore } from 'acestream-orchestrator-client/redis'
import { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { clock, Fleet, outlasting, outlive, retention, slot } from '../../support/redis-fleet.ts'
import { isRedisMissing } from '../../support/redis-server.ts'

const STATE = '{acestream:default}:state'
const entry = (streamId: string, life?: string): JournalEntry => ({ streamId, containerId: 'a', proxyId: 'p', isOver: false, life })

describe.skipIf(isRedisMissing)('a member that learns with a batch that others took it for dead', () => {
  it('still strikes out the stream that this batch settles', async () => {
    await using fleet = await Fleet.start()
    const buried = await fleet.store()
    const heir = await fleet.store()
    await buried.append(entry('x', 'life'))
    await heir.renew()
    await outlive(heir) // frees slots; nobody has recovered yet
    await buried.settle('x', 'life')
    await buried.renew()
    expect(await fleet.journal()).toEqual([])
    expect(await heir.recover()).toEqual([])
  })

  it('does not keep an entry out of every recovery', async () => {
    await using fleet = await Fleet.start()
    const buried = await fleet.store()
    const heir = await fleet.store()
    await buried.append(entry('x', 'life'))
    await heir.renew()
    await outlive(heir)
    await buried.settle('x', 'life')
    await buried.recover()
    await buried.renew()
    await heir.recover()
    expect(await fleet.journal()).toEqual([])
  })

  it('still takes back the claim that this batch takes back', async () => {
    await using fleet = await Fleet.start()
    const buried = await fleet.store()
    const heir = await fleet.store()
    expect(await buried.claimEnd('x', retention())).toBe(true)
    await heir.renew()
    await outlive(heir)
    await buried.unclaimEnd('x')
    await buried.renew()
    expect(await heir.claimEnd('x', retention())).toBe(true)
  })

  it('gets no lease back that was buried, because Redis was restarted later', async () => {
    await using fleet = await Fleet.start()
    const buried = await fleet.store()
    const heir = await fleet.store()
    expect(await buried.take(slot('old', ['e']))).toBe('e')
    await heir.renew()
    await outlive(heir)
    await heir.recover()
    expect(await heir.take(slot('new', ['e']))).toBe('e')
    await fleet.eye.hset(STATE, '!run', 'the process before') // a restart that lost nothing
    await heir.renew()
    await buried.renew()
    const isPromoted = await buried.promote('old', 'watched')
    expect({ isPromoted, slots: await fleet.slots() }).toEqual({ isPromoted: false, slots: { e: ['l:new'] } })
  })
})

describe.skipIf(isRedisMissing)('a store that is closed while a slot is wanted', () => {
  it('leaves no slot behind', async () => {
    await using fleet = await Fleet.start()
    const peer = await fleet.store()
    await peer.renew()
    const store = await fleet.store()
    await store.renew()
    let closed = false
    const closing = store.close().then(() => {
      closed = true
    })
    const takes: Promise<unknown>[] = []
    for (let n = 0; !closed; n += 1) {
      takes.push(store.take(slot(`late ${n}`, ['e'], 99)).catch(() => undefined))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await closing
    await Promise.all(takes)
    for (let n = 0; n < 3; n += 1) {
      await outlive(peer)
      await peer.recover()
    }
    expect(await fleet.slots()).toEqual({})
    expect(await fleet.memberCount()).toBe(1)
  })
})

describe.skipIf(isRedisMissing)('ended ids', () => {
  it('forget a claim that is taken back while the claim is still under way', async () => {
    await using fleet = await Fleet.start()
    const store = await fleet.store()
    const peer = await fleet.store()
    await store.renew()
    const claiming = store.claimEnd('x', retention())
    await Promise.resolve()
    await new Promise((resolve) => setImmediate(resolve))
    await Promise.all([claiming, store.unclaimEnd('x')])
    await store.renew()
    expect([...(await peer.endedAmong(['x'], retention())).keys()]).toEqual([])
  })
})

describe.skipIf(isRedisMissing)('a fleet whose proxies have different times to live', () => {
  it('buries nobody before the longer one is over', async () => {
    await using fleet = await Fleet.start()
    const old = await fleet.store({ slotTtlMs: 15_000 })
    await old.renew()
    await old.append(entry('x'))
    const young = await fleet.store({ slotTtlMs: 3_000 })
    for (let n = 0; n < 12; n += 1) {
      await young.renew()
      expect(await young.recover()).toEqual([])
      await clock.advance(1_000)
    }
  })
})

describe.skipIf(isRedisMissing)('an heir that closes before it gets the answer to its takeover', () => {
  it('leaves the entry to the others', async () => {
    await using fleet = await Fleet.start()
    const dead = await fleet.store()
    const redis = new Redis(fleet.server.url)
    let isLosing = false
    const client = {
      evalsha: async (sha: string, count: number, ...rest: string[]) => {
        const answer = await redis.evalsha(sha, count, ...rest)
        if (isLosing && rest.includes('H')) throw new Error('Connection is closed.')
        return answer
      },
      eval: (text: string, count: number, ...rest: string[]) => redis.eval(text, count, ...rest),
      duplicate: () => redis.duplicate(),
    } as unknown as RedisClient
    const heir = new RedisStore({ client, clock, timeoutMs: 10_000, slotTtlMs: 1_500 })
    await dead.append({ streamId: 'x', proxyId: 'p', isOver: false })
    await heir.renew()
    await outlive(heir)
    isLosing = true
    expect(await outlasting(heir.recover())).toEqual([])
    isLosing = false
    await clock.advance(2_000)
    await outlasting(heir.close())
    redis.disconnect()
    const peer = await fleet.store()
    await peer.renew()
    const found = []
    for (let n = 0; n < 3; n += 1) {
      await outlive(peer)
      found.push(...(await peer.recover()))
    }
    expect({ found: found.map(({ streamId }) => streamId), journal: await fleet.journal() }).toEqual({ found: ['x'], journal: ['x'] })
  })
})

describe.skipIf(isRedisMissing)('a state', () => {
  it.each(['', ' ', 'a\nb', 'a b', '%d+(', '!birth', '\u0000x', 'ü☃𝄞', 'x'.repeat(100_000)])(
    'keeps slots and entries of an odd id (%#)',
    async (id) => {
      await using fleet = await Fleet.start()
      const dead = await fleet.store()
      const heir = await fleet.store()
      await heir.renew()
      await dead.take(slot(`l${id}`, [id], 9))
      await dead.occupy(id, id)
      await dead.append(entry(id, id.slice(0, 64)))
      await outlive(heir)
      expect((await heir.recover()).map(({ streamId }) => streamId)).toEqual([id])
      expect(await fleet.slots()).toEqual({})
      await heir.settle(id, id.slice(0, 64))
      expect(await fleet.journal()).toEqual([])
    },
  )

  it('a settle by two lives before Redis is back strikes out the entry of the first', async () => {
    await using fleet = await Fleet.start()
    const store = await fleet.store()
    const heir = await fleet.store()
    await heir.renew()
    await store.append(entry('x', 'one'))
    // A restart from an old copy makes the store another member before it can tell.
    const [owner] = ((await fleet.eye.hget(STATE, 'j:x')) ?? '').split(' ')
    await fleet.eye.hset(STATE, `m:${owner}`, '0')
    await Promise.all([store.settle('x', 'one'), store.settle('x', 'two')])
    await store.renew()
    expect(await fleet.journal()).toEqual([])
  })
})
