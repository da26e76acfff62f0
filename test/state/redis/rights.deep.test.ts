import { readFileSync } from 'node:fs'
import { type RedisClient, RedisStore, type RedisStoreOptions } from 'acestream-orchestrator-client/redis'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { untilSlotsAreGranted } from '../../support/first-redis-slot.ts'
import { clock, elapsedUntilSettled, eventually, Fleet, outlive, retention, slot } from '../../support/redis-fleet.ts'
import { isRedisMissing } from '../../support/redis-server.ts'
import { recordedLog } from './recorded-log.ts'

const PASSWORD = 'hunter2-is-secret'
/** The rights that docs/stores.md asks an operator to grant, for the fleet `stadium`. */
const DOCS = readFileSync(new URL('../../../docs/stores.md', import.meta.url), 'utf8')
const MINIMAL = (/ACL SETUSER proxy on >PASSWORD ([^`]*)```/.exec(DOCS)?.[1] ?? '').trim().split(/\s+/)
const NAME = 'stadium'

interface Opened {
  readonly client: RedisClient
  readonly close: () => void
}

const LIBRARIES: Record<string, (port: number, password?: string) => Promise<Opened>> = {
  async ioredis(port, password = PASSWORD) {
    const client = new Redis({ host: '127.0.0.1', port, username: 'proxy', password, retryStrategy: () => 30 })
    return { client, close: () => client.disconnect() }
  },
  async 'node-redis'(port, password = PASSWORD) {
    const client = createClient({ socket: { host: '127.0.0.1', port, reconnectStrategy: () => 30 }, username: 'proxy', password })
    client.connect().catch(() => {})
    return {
      client,
      close: () => {
        if (client.isOpen) client.destroy()
      },
    }
  },
}

/** The text of an error and of its causes. */
function shown(value: unknown): string {
  if (!(value instanceof Error)) return String(value)
  return [value.message, value.stack, JSON.stringify(value), shown(value.cause)].join(' ')
}

describe.skipIf(isRedisMissing).each(Object.keys(LIBRARIES))('a Redis user with few rights (%s)', (library) => {
  let fleet: Fleet
  let opened: Opened[]
  beforeEach(async () => {
    fleet = await Fleet.start()
    opened = []
  })
  afterEach(async () => {
    for (const { close } of opened) close()
    await fleet[Symbol.asyncDispose]()
  })

  const setRights = (...rights: readonly string[]) => fleet.inspector.acl('SETUSER', 'proxy', 'reset', 'on', `>${PASSWORD}`, ...rights)
  const open = async (options: Partial<RedisStoreOptions> = {}, password?: string): Promise<RedisStore> => {
    const made = await LIBRARIES[library]?.(fleet.server.port, password)
    if (made === undefined) throw new Error(library)
    opened.push(made)
    return new RedisStore({ client: made.client, name: NAME, clock, timeoutMs: 10_000, slotTtlMs: 1_500, ...options })
  }

  it('can use every method with the rights that docs/stores.md lists', async () => {
    await setRights(...MINIMAL)
    await untilSlotsAreGranted(fleet.inspector, NAME)
    const { logger, lines } = recordedLog()
    const [store, peer] = [await open({ logger }), await open({ logger })]
    let freedCount = 0
    store.onSlotFreed(() => {
      freedCount += 1
    })
    await eventually(async () => Number((await fleet.inspector.pubsub('NUMSUB', '{acestream:stadium}:state:freed'))[1]) === 1)
    expect(await store.take(slot('lease', ['a']))).toBe('a')
    expect(await store.promote('lease', 'x')).toBe(true)
    await store.occupy('b', 'y')
    expect(await store.claimEnd('z', retention())).toBe(true)
    expect([...(await peer.endedAmong(['z'], retention())).keys()]).toEqual(['z'])
    await store.unclaimEnd('z')
    for (let i = 0; i < 3; i += 1) await store.claimEnd(`many ${i}`, { ...retention(), max: 2 })
    expect(await store.forgetEnded({ ...retention(), max: 1 })).toBe(1)
    for (const streamId of ['x', 'y']) await store.append({ streamId, proxyId: 'p', isOver: false })
    await store.settle('y')
    expect(await peer.releaseLease('none')).toBeUndefined()
    await peer.occupy('c', 'w')
    expect(await peer.releaseStream('w')).toBe('c')
    expect(await store.expire(0)).toEqual([])
    await eventually(() => freedCount > 0)
    await outlive(peer)
    expect((await peer.recover()).map(({ streamId }) => streamId)).toEqual(['x'])
    expect(await fleet.slots(NAME)).toEqual({})
    await Promise.all([store.close(), peer.close()])
    expect(lines).toEqual([])
  })

  it.each([
    ['-info', /info/i],
    ['-hset', /hset/i],
    ['-hmget', /hmget/i],
    ['-evalsha', /evalsha/],
    ['-eval', /eval/],
    ['resetkeys', /\{acestream:stadium\}:/],
  ])('gets a StoreError that names the missing right at the first call: %s', async (right, named) => {
    await setRights(...MINIMAL, right)
    if (right === '-eval') await fleet.inspector.script('FLUSH')
    const { logger, lines } = recordedLog()
    const store = await open({ logger })
    const use = async (): Promise<unknown> => store.take(slot('lease', ['a'])).catch((error: unknown) => error)
    const error = await use()
    expect(error).toMatchObject({ code: 'STORE', reason: 'unwritable', retryable: false, message: expect.stringMatching(named) })
    expect(shown(error)).not.toContain('is unavailable')
    expect(shown(error)).not.toContain(PASSWORD)
    await clock.advance(1_000)
    await use()
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(named)
    expect(lines[0]).toMatch(/^error Redis at 127\.0\.0\.1:\d+ refuses a right/)
    expect(lines[0]).not.toContain(PASSWORD)

    await setRights(...MINIMAL)
    await eventually(async () => {
      await store.renew()
      return lines.length === 2
    }, 500)
    expect(lines[1]).toMatch(/^info Redis at 127\.0\.0\.1:\d+ works again/)
    await store.close()
  })

  it('without HSCAN causes a log line that names HSCAN once a proxy has died', async () => {
    await setRights(...MINIMAL, '-hscan')
    const { logger, lines } = recordedLog()
    const [dead, successor] = [await open(), await open({ logger })]
    await dead.occupy('a', 'x')
    await outlive(successor)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/^error Redis at .* refuses a right .*HSCAN on \{acestream:stadium\}:state/)
    await Promise.all([dead, successor].map((store) => store.close()))
  })

  it('without PUBLISH gets a slot that another proxy has freed as soon as it asks', async () => {
    await setRights(...MINIMAL, '-publish')
    await untilSlotsAreGranted(fleet.inspector, NAME)
    const [holder, early, late] = [await open(), await open(), await open()]
    early.onSlotFreed(() => {})
    await eventually(async () => Number((await fleet.inspector.pubsub('NUMSUB', '{acestream:stadium}:state:freed'))[1]) === 1)
    await holder.occupy('a', 'first')
    const since = clock.now()
    const ask = (store: RedisStore, leaseId: string) => store.take({ ...slot(leaseId, ['a']), place: { since, isWaiting: true } })
    expect(await ask(early, 'early 1')).toBeUndefined()
    // From now on Redis knows that no proxy notices an offer.
    await holder.releaseStream('first')
    await holder.occupy('a', 'second')
    await clock.advance(5_000)
    expect(await ask(early, 'early 2')).toBeUndefined()
    await holder.releaseStream('second')
    expect(await ask(late, 'late')).toBe('a')
    await late.releaseLease('late')
    expect(await ask(early, 'early 3')).toBe('a')

    // With the right there is a line again.
    await setRights(...MINIMAL)
    await early.releaseLease('early 3')
    await holder.occupy('a', 'third')
    expect(await ask(early, 'early 4')).toBeUndefined()
    expect(await fleet.inspector.zcard('{acestream:stadium}:line')).toBe(1)
    await Promise.all([holder, early, late].map((store) => store.close()))
  })

  it('without TIME claims an end without Redis, and causes a log line that names TIME', async () => {
    await setRights(...MINIMAL, '-time')
    const { logger, lines } = recordedLog()
    const made = await open({ logger, clock: undefined })
    expect(await made.claimEnd('x', retention(Date.now()))).toBe(true)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/^error Redis at .* refuses a right .*TIME/)
    await made.close()
  })

  it('with a wrong password gets a StoreError that shows no password', async () => {
    await setRights(...MINIMAL)
    const { logger, lines } = recordedLog()
    const store = await open({ logger }, 'wrong-password')
    let error: unknown
    await eventually(async () => {
      const asking = store.take(slot('lease', ['a'])).catch((reason: unknown) => reason)
      await elapsedUntilSettled(asking)
      error = await asking
      return (error as { reason?: unknown }).reason === 'unwritable'
    }, 1_000)
    expect(error).toMatchObject({ retryable: false, message: expect.stringMatching(/refuses a right.*WRONGPASS/) })
    expect(lines.filter((line) => line.includes('WRONGPASS'))).toHaveLength(1)
    expect(shown(error) + lines.join(' ')).not.toMatch(/wrong-password|hunter2/)
    await store.close()
  })
})
