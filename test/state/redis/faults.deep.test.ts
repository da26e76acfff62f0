import type { JournalEntry, StateStore } from 'acestream-orchestrator-client'
import { describe, expect, it, onTestFinished } from 'vitest'
import { clock, elapsedUntilSettled, eventually, Fleet, outlasting, outlive, retention, slot } from '../../support/redis-fleet.ts'
import { isRedisMissing } from '../../support/redis-server.ts'
import { recordedLog } from './recorded-log.ts'

const TIMEOUT_MS = 500
/** While Redis is away, a store sends it one request per this time. */
const TRY_EVERY_MS = 1_000
/** Longer than any test: the test unpauses the clients. */
const PAUSE_MS = 86_400_000
const STATE = '{acestream:default}:state'
const entry = (streamId: string): JournalEntry => ({ streamId, containerId: 'a', proxyId: 'p', isOver: false })

/** Calls every method once and returns the results. Fails if a call takes longer than its time-out. */
async function everyMethod(store: StateStore): Promise<Record<string, unknown>> {
  const calls: Record<string, () => unknown> = {
    take: () => store.take(slot('new', ['a', 'b'], 5)),
    promote: () => store.promote('held', 'x'),
    occupy: () => store.occupy('b', 'y'),
    releaseLease: () => store.releaseLease('other'),
    releaseStream: () => store.releaseStream('z'),
    expire: () => store.expire(0),
    claimEnd: () => store.claimEnd('z', retention()),
    claimAgain: () => store.claimEnd('z', retention()),
    unclaimEnd: () => store.unclaimEnd('w'),
    endedAmong: async () => [...(await store.endedAmong(['w', 'z'], retention())).keys()],
    forgetEnded: () => store.forgetEnded(retention()),
    append: () => store.append(entry('x')),
    settle: () => store.settle('z'),
    recover: () => store.recover(),
    renew: () => store.renew?.(),
  }
  const answers: Record<string, unknown> = {}
  for (const [name, call] of Object.entries(calls)) {
    const work = Promise.resolve(call()).catch((error) => (error as { reason?: string }).reason ?? error)
    expect(await elapsedUntilSettled(work), name).toBeLessThanOrEqual(TIMEOUT_MS)
    answers[name] = await work
  }
  return answers
}

/** Results of the calls while Redis is away. */
const AWAY = {
  promote: true,
  releaseLease: 'a',
  releaseStream: 'a',
  expire: [],
  claimEnd: true,
  claimAgain: false,
  endedAmong: ['z'],
  forgetEnded: 0,
  recover: [],
}

describe.skipIf(isRedisMissing).each(['ioredis', 'node-redis'])('a Redis that goes away (%s)', (library) => {
  const unhandled: unknown[] = []
  const note = (reason: unknown): void => void unhandled.push(reason)
  const startFleet = async (): Promise<Fleet> => {
    process.on('unhandledRejection', note)
    onTestFinished(() => void process.off('unhandledRejection', note))
    return Fleet.start()
  }

  it.each(['killed', 'frozen', 'paused'])(
    'that is %s lets no call exceed its time-out, rejects no call except take(), and gets all changes when it is back',
    async (how) => {
      await using fleet = await startFleet()
      const { logger, lines } = recordedLog()
      const store = await fleet.store({ library, logger, timeoutMs: TIMEOUT_MS })
      const peer = await fleet.store({ timeoutMs: TIMEOUT_MS })
      await peer.renew()
      store.onSlotFreed(() => {})
      for (const leaseId of ['held', 'other']) await store.take(slot(leaseId, ['a'], 5))
      await store.occupy('a', 'z')
      await store.append(entry('z'))
      await store.claimEnd('w', retention())
      if (how === 'killed') await fleet.server.kill()
      else if (how === 'frozen') fleet.server.freeze()
      else await fleet.inspector.client('PAUSE', PAUSE_MS, 'WRITE') // stalls every script
      const begunAt = clock.now()
      expect(await everyMethod(store)).toMatchObject({ take: 'unavailable', ...AWAY })
      expect(clock.now() - begunAt).toBeLessThan(4 * TIMEOUT_MS)
      expect(store.usage().get('a')).toEqual({ leaseCount: 0, streamIds: new Set(['x']) })
      expect(lines).toHaveLength(1)
      expect(lines[0]).toMatch(/^error Redis at 127.0.0.1:\d+ is unavailable/)

      if (how === 'killed') await fleet.server.start()
      else if (how === 'frozen') fleet.server.thaw()
      else await fleet.inspector.client('UNPAUSE')
      await eventually(async () => {
        await store.renew()
        await peer.renew()
        return JSON.stringify(await fleet.slots()) === '{"a":["s:x"],"b":["s:y"]}'
      })
      await eventually(async () => {
        await store.renew()
        await peer.renew()
        return lines.length > 1
      }, 100)
      expect(lines[1]).toMatch(/^info Redis at 127.0.0.1:\d+ works again/)
      await eventually(async () => (await fleet.journal()).join() === 'x')
      await eventually(async () => [...(await peer.endedAmong(['w', 'z'], retention())).keys()].join() === 'z')
      await eventually(async () => {
        await store.renew()
        return (await store.take(slot('again', ['a'], 2)).catch(() => undefined)) === 'a'
      }, 100)
      await store.releaseLease('again')
      for (const streamId of ['x', 'y']) await store.releaseStream(streamId)
      await store.renew()
      expect(await fleet.slots()).toEqual({})
      expect(unhandled).toEqual([])
    },
  )

  it("with onStoreFailure 'local': a proxy takes slots by its own streams and its engine list, and reports them later", async () => {
    await using fleet = await startFleet()
    const store = await fleet.store({ library, onStoreFailure: 'local', timeoutMs: TIMEOUT_MS })
    await store.occupy('a', 'x')
    fleet.server.freeze()
    expect(await outlasting(store.take(slot('none', ['a'])))).toBeUndefined()
    expect(await outlasting(store.take(slot('alone', ['a', 'b'])))).toBe('b')
    expect(await outlasting(store.take(slot('full', ['a', 'b'])))).toBeUndefined()
    expect(await outlasting(store.promote('alone', 'y'))).toBe(true)
    expect(await outlasting(store.take(slot('kept', ['c'])))).toBe('c')
    fleet.server.thaw()
    await eventually(async () => {
      await store.renew()
      return JSON.stringify(await fleet.slots()) === '{"a":["s:x"],"b":["s:y"],"c":["l:kept"]}'
    })
    expect(await store.promote('kept', 'z')).toBe(true)
  })

  it('[I1] that restarts without its data grants no slot that a proxy still holds, even if a new proxy asks first', async () => {
    await using fleet = await startFleet()
    const stores = [
      await fleet.store({ library, timeoutMs: TIMEOUT_MS }),
      await fleet.store({ library, timeoutMs: TIMEOUT_MS }),
      await fleet.store({ library, timeoutMs: TIMEOUT_MS }),
    ] as const
    const [first, second, third] = stores
    await first.occupy('a', 'x')
    await second.take(slot('held', ['b']))
    await fleet.server.kill()
    await fleet.server.start()
    await eventually(async () => (await fleet.inspector.ping()) === 'PONG')
    const newcomer = await fleet.store({ library })
    const takes: unknown[] = []
    for (const store of [newcomer, newcomer, third, third]) {
      takes.push(await store.take(slot('greedy', ['a', 'b', 'c'])).catch((error) => (error as { reason: string }).reason))
    }
    expect(new Set(takes)).toEqual(new Set(['unavailable']))
    await eventually(async () => {
      await Promise.all([newcomer, ...stores].map((store) => store.renew()))
      return (await third.take(slot('c', ['c'])).catch(() => undefined)) === 'c'
    }, 100)
    expect(await newcomer.take(slot('late', ['a', 'b']))).toBeUndefined()
    expect(await fleet.slots()).toEqual({ a: ['s:x'], b: ['l:held'], c: ['l:c'] })
    expect(await second.promote('held', 'y')).toBe(true)
  })

  it('that restarts without its data gets the slots, the journal and the ended ids of its only proxy again', async () => {
    await using fleet = await startFleet()
    const store = await fleet.store({ library, timeoutMs: TIMEOUT_MS })
    await store.occupy('a', 'x')
    for (const streamId of ['x', 'y']) await store.append(entry(streamId))
    await store.claimEnd('ended', retention(), 'one life')
    await fleet.server.kill()
    await fleet.server.start()
    await eventually(async () => {
      await store.renew()
      return (await store.take(slot('next', ['a', 'b'])).catch(() => undefined)) === 'b'
    }, 100)
    expect(await store.claimEnd('ended', retention())).toBe(false)
    await store.renew()
    expect([...(await store.endedAmong(['ended'], retention()))]).toEqual([['ended', 'one life']])
    expect(await fleet.journal()).toEqual(['x', 'y'])
    expect(await fleet.slots()).toEqual({ a: ['s:x'], b: ['l:next'] })
  })

  it('[I1] that restarts waits at most one time to live for members that died with it', async () => {
    await using fleet = await startFleet()
    const [dead, alive] = [await fleet.store({ library, timeoutMs: TIMEOUT_MS }), await fleet.store({ library, timeoutMs: TIMEOUT_MS })]
    await dead.take(slot('dead', ['b']))
    await alive.take(slot('before', ['a']))
    await fleet.server.kill()
    await fleet.server.start()
    await eventually(async () => (await fleet.inspector.ping()) === 'PONG')
    let tookAt = 0
    await eventually(async () => {
      await alive.renew()
      if (tookAt === 0 && Object.keys(await fleet.slots()).length > 0) tookAt = clock.now()
      return (await alive.take(slot('after', ['b'])).catch(() => undefined)) === 'b'
    }, 100)
    expect(clock.now() - tookAt).toBeLessThanOrEqual(2_100)
    expect((await fleet.slots())['a']).toEqual(['l:before'])
  })

  it('[I1] that fails over to a lagging replica grants no slot before the proxy that holds it has reported', async () => {
    await using fleet = await startFleet()
    const [one, other] = [await fleet.store({ library }), await fleet.store({ library })]
    await one.take(slot('seen', ['a']))
    await other.renew()
    const lagging = await fleet.inspector.dumpBuffer(STATE)
    await other.take(slot('unseen', ['b']))
    await fleet.inspector.restore(STATE, 0, lagging, 'REPLACE')
    await fleet.inspector.hset(STATE, '!run', 'the process that failed')
    const newcomer = await fleet.store({ library })
    for (const store of [newcomer, one]) await expect(store.take(slot('early', ['b']))).rejects.toMatchObject({ reason: 'unavailable' })
    await other.renew()
    expect(await fleet.slots()).toEqual({ a: ['l:seen'], b: ['l:unseen'] })
    await outlive(one, other, newcomer)
    for (const store of [newcomer, one]) expect(await store.take(slot('late', ['b']))).toBeUndefined()
    expect(await other.take(slot('next', ['b', 'c']))).toBe('c')
    expect(await other.promote('unseen', 'x')).toBe(true)
  })

  it('[I1] a slot whose take() lost its answer is released when Redis is back', async () => {
    await using fleet = await startFleet()
    const store = await fleet.store({ library, timeoutMs: 200 })
    await store.renew()
    fleet.server.freeze()
    const taking = store.take(slot('lost', ['a']))
    expect(await elapsedUntilSettled(taking)).toBe(200)
    await expect(taking).rejects.toMatchObject({ code: 'STORE', reason: 'unavailable', retryable: true })
    fleet.server.thaw()
    await eventually(async () => (await fleet.slots())['a'] !== undefined, 0)
    await eventually(async () => {
      await store.renew()
      return JSON.stringify(await fleet.slots()) === '{}'
    })
  })

  it('[I5] removes entries that were settled during the outage, but none that another proxy has written since', async () => {
    await using fleet = await startFleet()
    const { logger, lines } = recordedLog()
    const [store, peer] = [await fleet.store({ library, logger, timeoutMs: TIMEOUT_MS }), await fleet.store()]
    for (const streamId of ['over', 'again']) await store.append(entry(streamId))
    await fleet.inspector.client('PAUSE', PAUSE_MS, 'WRITE')
    for (const streamId of ['over', 'again']) await outlasting(store.settle(streamId))
    await fleet.inspector.client('UNPAUSE')
    await peer.append({ ...entry('again'), proxyId: 'peer' })
    await eventually(async () => {
      await store.renew()
      return lines.some((line) => line.includes('works again'))
    })
    await store.renew()
    expect(await fleet.journal()).toEqual(['again'])
  })

  it("with onStoreFailure 'local': a lease that was taken during the outage becomes a stream when Redis is back", async () => {
    await using fleet = await startFleet()
    const store = await fleet.store({ library, onStoreFailure: 'local', timeoutMs: TIMEOUT_MS })
    await store.renew()
    fleet.server.freeze()
    expect(await outlasting(store.take(slot('during outage', ['a'])))).toBe('a')
    fleet.server.thaw()
    await eventually(async () => (await fleet.slots())['a'] !== undefined)
    await clock.advance(TRY_EVERY_MS)
    expect(await store.promote('during outage', 'x')).toBe(true)
    await eventually(async () => (await fleet.slots())['a']?.join() === 's:x')
  })

  it('[I5] hands over the entries of a dead proxy, even if the first answer with them was lost', async () => {
    await using fleet = await startFleet()
    const [dead, successor] = [await fleet.store(), await fleet.store({ library, timeoutMs: 200 })]
    for (const streamId of ['x', 'y']) await dead.append(entry(streamId))
    await outlive(successor)
    fleet.server.freeze()
    expect(await outlasting(successor.recover())).toEqual([])
    fleet.server.thaw()
    const found: JournalEntry[] = []
    await eventually(async () => {
      await successor.renew()
      return found.push(...(await successor.recover())) > 0
    }, 100)
    expect([found, await successor.recover()]).toEqual([[entry('x'), entry('y')], []])
  })

  it('grants no second claim of an end that was claimed during the outage', async () => {
    await using fleet = await startFleet()
    const store = await fleet.store({ library, timeoutMs: 100 })
    await store.renew()
    fleet.server.freeze()
    for (const streamId of ['sent', 'not sent']) expect(await outlasting(store.claimEnd(streamId, retention(), 'one life'))).toBe(true)
    fleet.server.thaw()
    await clock.advance(TRY_EVERY_MS)
    expect(await store.claimEnd('not sent', retention())).toBe(false)
    await store.renew()
    expect(await fleet.inspector.zcard('{acestream:default}:ended')).toBe(2)
    const peer = await fleet.store({ library })
    expect([...(await peer.endedAmong(['sent'], retention()))]).toEqual([['sent', 'one life']])
    expect([await peer.claimEnd('sent', retention(), 'one life'), await peer.claimEnd('sent', retention(), 'another')]).toEqual([
      false,
      true,
    ])
  })

  it('[I6] that is back when a proxy closes gets all releases of the outage', async () => {
    await using fleet = await startFleet()
    const store = await fleet.store({ library, timeoutMs: TIMEOUT_MS })
    await store.take(slot('lease', ['a']))
    await store.occupy('b', 'x')
    await store.append(entry('x'))
    fleet.server.freeze()
    expect(await outlasting(store.releaseLease('lease'))).toBe('a')
    expect(await outlasting(store.releaseStream('x'))).toBe('b')
    await outlasting(store.settle('x'))
    fleet.server.thaw()
    await store.close()
    expect(await fleet.slots()).toEqual({})
    expect([await fleet.memberCount(), await fleet.journal()]).toEqual([0, []])
  })

  it('[I8] that forbids publish and subscribe stays in use; at most one log line says that free slots are found late', async () => {
    await using fleet = await startFleet()
    const { logger, lines } = recordedLog()
    const store = await fleet.store({ library, logger })
    store.onSlotFreed(() => {})
    const subscribers = async () => Number((await fleet.inspector.pubsub('NUMSUB', '{acestream:default}:state:freed'))[1])
    await eventually(async () => (await subscribers()) === 1)
    await store.take(slot('lease', ['a']))
    await store.occupy('b', 'x')
    await fleet.inspector.acl('SETUSER', 'default', 'resetchannels')
    await fleet.inspector.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    expect([await store.releaseLease('lease'), await store.releaseStream('x')]).toEqual(['a', 'b'])
    expect(await fleet.slots()).toEqual({})
    expect(await store.take(slot('next', ['a']))).toBe('a')
    // Here one library fails to connect, and the other fails to subscribe.
    if (library === 'ioredis') await eventually(() => lines.some((line) => line.includes('found late')))
    expect(lines.filter((line) => line.includes('unavailable'))).toEqual([])
    expect(lines.length).toBeLessThanOrEqual(1)
    await fleet.inspector.acl('SETUSER', 'default', 'allchannels')
    await fleet.inspector.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await eventually(async () => (await subscribers()) === 1)
    expect(unhandled).toEqual([])
  })

  it('makes only the first of 50 callers wait for a time-out', async () => {
    await using fleet = await startFleet()
    const store = await fleet.store({ library, timeoutMs: TIMEOUT_MS })
    await store.renew()
    fleet.server.freeze()
    const begunAt = clock.now()
    for (let i = 0; i < 50; i += 1) await expect(outlasting(store.take(slot(`${i}`, ['a'])))).rejects.toThrow('is unavailable')
    expect(clock.now() - begunAt).toBe(TIMEOUT_MS)
  })
})
