import { Buffer } from 'node:buffer'
import type { JournalEntry } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { clock, eventually, Fleet, outlive, retention, slot } from '../../support/redis-fleet.ts'
import { isRedisMissing } from '../../support/redis-server.ts'
import { recordedLog } from './recorded-log.ts'

const STATE = '{acestream:default}:state'
const entry = (streamId: string): JournalEntry => ({ streamId, proxyId: 'p', isOver: false })

describe.skipIf(isRedisMissing).each(['ioredis', 'node-redis'])('a damaged state in Redis (%s)', (library) => {
  it.each<[string, (dead: string) => string | Buffer]>([
    ['garbage', () => 'garbage'],
    ['empty', () => ''],
    ['not UTF-8', () => Buffer.from([0xff, 0, 0xfe, 10, 1])],
    ['not JSON', (dead) => `${dead} 1 0:nonsense`],
    ['JSON of another shape', (dead) => `${dead} 1 0:[1,2]`],
    ['an entry of another stream', (dead) => `${dead} 1 0:${JSON.stringify(entry('other'))}`],
    ['an entry without its proxy', (dead) => `${dead} 1 0:{"streamId":"bad","isOver":false}`],
    ['written with an impossible length', (dead) => `${dead} 1 99999999999999999999:{}`],
  ])('[I5] a journal entry that is %s stops no recovery, is set aside, and is logged once', async (_, damage) => {
    await using fleet = await Fleet.start()
    const { logger, lines } = recordedLog()
    const [dead, successor] = [await fleet.store(), await fleet.store({ library, logger })]
    await dead.append(entry('good'))
    const [owner = ''] = (await fleet.inspector.hget(STATE, 'j:good'))?.split(' ') ?? []
    await fleet.inspector.hset(STATE, 'j:bad', damage(owner))
    await fleet.inspector.hset(STATE, 'j:worse', damage(owner))
    await outlive(successor)
    expect(await successor.recover()).toEqual([entry('good')])
    await successor.renew()
    expect(await fleet.journal()).toEqual(['good'])
    expect(await fleet.inspector.hexists(STATE, '?:bad')).toBe(1)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/^warn This library did not write an entry of the journal.*\{acestream:default\}:state/)
    await successor.settle('good')
    expect([await successor.recover(), await fleet.memberCount()]).toEqual([[], 1])
  })

  it.each<[string, string | Buffer]>([
    ['garbage', 'garbage'],
    ['not UTF-8', Buffer.from([0xff, 0, 0xfe, 10, 1])],
    ['a count without slots', '1 '],
    ['a number instead of slots', Buffer.from('1 \u0007')],
  ])('[I1] an engine field that is %s makes all members report their slots again before a new slot is granted', async (_, damage) => {
    await using fleet = await Fleet.start()
    const [one, other] = [await fleet.store({ library }), await fleet.store()]
    expect(await one.take(slot('one', ['a'], 2))).toBe('a')
    await other.occupy('a', 'x')
    await one.occupy('b', 'y')
    await fleet.inspector.hset(STATE, 'e:a', damage)
    await expect(other.take(slot('early', ['a'], 3))).rejects.toMatchObject({ reason: 'unavailable' })
    await one.renew()
    await other.renew()
    expect(await fleet.slots()).toEqual({ a: ['l:one', 's:x'], b: ['s:y'] })
    await outlive(one, other)
    expect(await fleet.slots()).toEqual({ a: ['l:one', 's:x'], b: ['s:y'] })
    expect(await other.take(slot('late', ['a'], 2))).toBeUndefined()
    expect(await other.take(slot('third', ['a'], 3))).toBe('a')
    expect(await one.promote('one', 'z')).toBe(true)
    expect([await one.recover(), await other.recover()]).toEqual([[], []])
  })

  it('leaves no extra member when a joining proxy is the first to read a damaged field', async () => {
    await using fleet = await Fleet.start()
    const old = await fleet.store({ library })
    await old.renew()
    await fleet.inspector.hset(STATE, 'e:a', 'garbage')
    const newcomer = await fleet.store({ library })
    await expect(newcomer.take(slot('lease', ['a']))).rejects.toMatchObject({ reason: 'unavailable' })
    for (let time = 0; time < 2; time += 1) {
      await outlive(old, newcomer)
      expect([await old.recover(), await newcomer.recover()]).toEqual([[], []])
    }
    expect((await fleet.inspector.hget(STATE, '!members'))?.split(' ')).toHaveLength(2)
    expect(await fleet.memberCount()).toBe(2)
  })

  it.each(['state', 'ended', 'lives'])('causes an error that names its %s key if another application uses that key', async (part) => {
    await using fleet = await Fleet.start()
    const { logger, lines } = recordedLog()
    const store = await fleet.store({ library, logger, isFirst: true })
    const key = `{acestream:default}:${part}`
    await fleet.inspector.set(key, 'of another application')
    const use = async () => {
      await store.renew()
      return store.take(slot('lease', ['a'])).catch((error: unknown) => error)
    }
    const error = await use()
    await clock.advance(1_000)
    await use()
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/^error Redis at 127\.0\.0\.1:\d+ holds other data than this store's state under /)
    expect(lines[0]).toContain(key)
    expect(error).toMatchObject({ code: 'STORE', reason: 'corrupt', retryable: false })
    expect(await fleet.inspector.get(key)).toBe('of another application')
    await fleet.inspector.del(key)
    await eventually(async () => {
      await store.renew()
      return lines.length === 2
    }, 500)
    expect(await store.claimEnd('x', retention())).toBe(true)
  })
})
