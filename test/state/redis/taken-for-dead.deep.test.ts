import type { JournalEntry } from 'acestream-orchestrator-client'
import { type RedisClient, RedisStore } from 'acestream-orchestrator-client/redis'
import { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { clock, Fleet, outlasting, outlive, retention, slot } from '../../support/redis-fleet.ts'
import { isRedisMissing } from '../../support/redis-server.ts'

const STATE = '{acestream:default}:state'
const entry = (streamId: string, life?: string): JournalEntry => ({ streamId, containerId: 'a', proxyId: 'p', isOver: false, life })

describe.skipIf(isRedisMissing)('a member that learns from the answer to a batch that it was taken for dead', () => {
  it('still removes the entry of the stream that this batch settles', async () => {
    await using fleet = await Fleet.start()
    const silent = await fleet.store()
    const successor = await fleet.store()
    await silent.append(entry('x', 'life'))
    await successor.renew()
    await outlive(successor) // frees the slots; the entry is not recovered yet
    await silent.settle('x', 'life')
    await silent.renew()
    expect(await fleet.journal()).toEqual([])
    expect(await successor.recover()).toEqual([])
  })

  it('[I1] keeps the slots of its streams if Redis loses its data while it searches for the slots of dead members', async () => {
    await using fleet = await Fleet.start()
    const dead = await fleet.store()
    let mustLose = false
    const store = await fleet.store({
      deliver: async (send) => {
        const answer = await send()
        // The answer to markDead: the search comes next.
        if (mustLose && JSON.stringify(answer).endsWith(',[1]]')) {
          mustLose = false
          await fleet.inspector.flushall()
        }
        return answer
      },
    })
    await store.occupy('a', 'x')
    await store.append(entry('x', 'life'))
    await dead.renew()
    await store.renew()
    for (let third = 0; third < 3; third += 1) {
      await clock.advance(store.renewIntervalMs)
      await store.renew()
    }
    mustLose = true
    await clock.advance(store.renewIntervalMs)
    await store.renew()
    expect(mustLose).toBe(false)
    expect(await fleet.slots()).toEqual({ a: ['s:x'] })
    expect(await store.recover()).toEqual([])
  })

  it('leaves no settled entry in the journal when the other member recovers', async () => {
    await using fleet = await Fleet.start()
    const silent = await fleet.store()
    const successor = await fleet.store()
    await silent.append(entry('x', 'life'))
    await successor.renew()
    await outlive(successor)
    await silent.settle('x', 'life')
    await silent.recover()
    await silent.renew()
    await successor.recover()
    expect(await fleet.journal()).toEqual([])
  })

  it('still undoes the claim that this batch undoes', async () => {
    await using fleet = await Fleet.start()
    const silent = await fleet.store()
    const successor = await fleet.store()
    expect(await silent.claimEnd('x', retention())).toBe(true)
    await successor.renew()
    await outlive(successor)
    await silent.unclaimEnd('x')
    await silent.renew()
    expect(await successor.claimEnd('x', retention())).toBe(true)
  })

  it('does not regain a lease that others have freed when Redis is restarted later', async () => {
    await using fleet = await Fleet.start()
    const silent = await fleet.store()
    const successor = await fleet.store()
    expect(await silent.take(slot('old', ['e']))).toBe('e')
    await successor.renew()
    await outlive(successor)
    await successor.recover()
    expect(await successor.take(slot('new', ['e']))).toBe('e')
    await fleet.inspector.hset(STATE, '!run', 'the process before') // a restart that lost nothing
    await successor.renew()
    await silent.renew()
    const isPromoted = await silent.promote('old', 'watched')
    expect({ isPromoted, slots: await fleet.slots() }).toEqual({ isPromoted: false, slots: { e: ['l:new'] } })
  })
})

describe.skipIf(isRedisMissing)('a store that is closed during calls of take()', () => {
  it('leaves no slot and no member in Redis', async () => {
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
  it('do not contain an id whose claim was undone before Redis answered it', async () => {
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
  it('takes no proxy for dead before the longer time to live is over', async () => {
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

describe.skipIf(isRedisMissing)('a member that closes before it gets the answer to its recovery', () => {
  it('leaves the entry to the other members', async () => {
    await using fleet = await Fleet.start()
    const dead = await fleet.store()
    const redis = new Redis(fleet.server.url)
    let isLosing = false
    const client = {
      evalsha: async (sha: string, count: number, ...rest: string[]) => {
        const answer = await redis.evalsha(sha, count, ...rest)
        if (isLosing && rest.includes('takeOverEntry')) throw new Error('Connection is closed.')
        return answer
      },
      eval: (text: string, count: number, ...rest: string[]) => redis.eval(text, count, ...rest),
      duplicate: () => redis.duplicate(),
    } as unknown as RedisClient
    const successor = new RedisStore({ client, clock, timeoutMs: 10_000, slotTtlMs: 1_500 })
    await dead.append({ streamId: 'x', proxyId: 'p', isOver: false })
    await successor.renew()
    await outlive(successor)
    isLosing = true
    expect(await outlasting(successor.recover())).toEqual([])
    isLosing = false
    await clock.advance(2_000)
    await outlasting(successor.close())
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

describe.skipIf(isRedisMissing)('the state of a fleet', () => {
  it.each(['', ' ', 'a\nb', 'a b', '%d+(', '!birth', '\u0000x', 'ü☃𝄞', 'x'.repeat(100_000)])(
    'keeps slots and entries of an unusual id (%#)',
    async (id) => {
      await using fleet = await Fleet.start()
      const dead = await fleet.store()
      const successor = await fleet.store()
      await successor.renew()
      await dead.take(slot(`l${id}`, [id], 9))
      await dead.occupy(id, id)
      await dead.append(entry(id, id.slice(0, 64)))
      await outlive(successor)
      expect((await successor.recover()).map(({ streamId }) => streamId)).toEqual([id])
      expect(await fleet.slots()).toEqual({})
      await successor.settle(id, id.slice(0, 64))
      expect(await fleet.journal()).toEqual([])
    },
  )

  it('has no entry of a stream any more when two of its lives are settled before the store knows of a restart of Redis', async () => {
    await using fleet = await Fleet.start()
    const store = await fleet.store()
    const successor = await fleet.store()
    await successor.renew()
    await store.append(entry('x', 'one'))
    // A restart from an old copy has removed the member, and the store does not know that yet.
    const [owner] = ((await fleet.inspector.hget(STATE, 'j:x')) ?? '').split(' ')
    await fleet.inspector.hset(STATE, `m:${owner}`, '0')
    await Promise.all([store.settle('x', 'one'), store.settle('x', 'two')])
    await store.renew()
    expect(await fleet.journal()).toEqual([])
  })
})
