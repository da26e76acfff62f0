import { InvalidArgumentError, type OrchestratorClient } from 'acestream-orchestrator-client'
import { RedisStore } from 'acestream-orchestrator-client/redis'
import { FakeOrchestrator, seededRandom } from 'acestream-orchestrator-client/testing'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { untilSlotsAreGranted } from '../../support/first-redis-slot.ts'
import { clock, eventually, Fleet, slot } from '../../support/redis-fleet.ts'
import { isRedisMissing } from '../../support/redis-server.ts'
import { during, openClient } from '../../support/setup.ts'

describe.skipIf(isRedisMissing)('two orchestrators on one Redis', () => {
  let fleet: Fleet
  const closers: (() => unknown)[] = []
  beforeEach(async () => {
    fleet = await Fleet.start()
  })
  afterEach(async () => {
    for (const close of closers.splice(0)) await close()
    await fleet[Symbol.asyncDispose]()
  })

  const connection = (keyPrefix = ''): Redis => {
    const client = new Redis(fleet.server.url, { keyPrefix })
    closers.push(() => client.disconnect())
    return client
  }
  const storeOf = (name?: string, keyPrefix = ''): RedisStore => {
    const store = new RedisStore({ client: connection(keyPrefix), name, clock, timeoutMs: 600_000, slotTtlMs: 600_000 })
    closers.unshift(() => store.close())
    return store
  }
  const orchestrator = () => new FakeOrchestrator({ clock, random: seededRandom(1), engines: 1 })
  const open = (fake: FakeOrchestrator, baseUrl: string, store: RedisStore): OrchestratorClient =>
    openClient(fake, clock, { transport: fake, baseUrl, store, maxStreamsPerEngine: 1 })
  const gets = async (client: OrchestratorClient): Promise<boolean> =>
    during(clock, client.acquireEngine({ waitMs: 0, provision: false })).then(
      () => true,
      () => false,
    )

  it('share no slots, while two clients of one orchestrator do, even if they write its address differently', async () => {
    const [one, other] = [orchestrator(), orchestrator()]
    for (const name of ['one.test:8000', 'other.test:8000']) await untilSlotsAreGranted(fleet.inspector, name)
    const first = open(one, 'http://one.test:8000', storeOf())
    const second = open(one, 'http://ONE.test:8000/v1/', storeOf())
    const elsewhere = open(other, 'http://other.test:8000', storeOf())
    expect(await gets(first)).toBe(true)
    expect(await gets(second)).toBe(false)
    expect(await gets(elsewhere)).toBe(true)
    const keys = await fleet.inspector.keys('*')
    expect(new Set(keys.map((key) => /\{(.*)\}/.exec(key)?.[1]))).toEqual(new Set(['acestream:one.test:8000', 'acestream:other.test:8000']))
  })

  it('share their slots if their stores have the same name', async () => {
    const fake = orchestrator()
    await untilSlotsAreGranted(fleet.inspector, 'stadium')
    const [first, second] = [open(fake, 'http://one.test', storeOf('stadium')), open(fake, 'http://10.0.0.1:8000', storeOf('stadium'))]
    expect([await gets(first), await gets(second)]).toEqual([true, false])
  })

  it('cannot use the same store object', () => {
    const store = storeOf()
    open(orchestrator(), 'http://one.test:8000', store)
    expect(() => open(orchestrator(), 'http://other.test:8000', store)).toThrow(InvalidArgumentError)
    expect(() => open(orchestrator(), 'http://other.test:8000', store)).toThrow(/one\.test:8000/)
    for (const same of ['http://ONE.test:8000/', 'http://one.test:8000/v1']) expect(() => open(orchestrator(), same, store)).not.toThrow()
  })

  it('share no slots and no notifications if only the keyPrefix of ioredis differs', async () => {
    const freed: string[] = []
    for (const prefix of ['red:', 'blue:']) await untilSlotsAreGranted(connection(prefix))
    const [red, redPeer, blue] = [storeOf(undefined, 'red:'), storeOf(undefined, 'red:'), storeOf(undefined, 'blue:')]
    red.onSlotFreed((streamId) => void freed.push(`red ${streamId}`))
    blue.onSlotFreed((streamId) => void freed.push(`blue ${streamId}`))
    await eventually(async () => {
      const counts = await fleet.inspector.pubsub('NUMSUB', 'red:{acestream:default}:state:freed', 'blue:{acestream:default}:state:freed')
      return counts[1] === 1 && counts[3] === 1
    })
    expect([await redPeer.take(slot('1', ['a'])), await blue.take(slot('2', ['a'])), await red.take(slot('3', ['a']))]).toEqual([
      'a',
      'a',
      undefined,
    ])
    for (const streamId of ['x', 'y']) {
      await redPeer.append({ streamId, proxyId: 'p', isOver: true })
      await redPeer.settle(streamId)
    }
    await eventually(() => freed.length === 2)
    expect(freed).toEqual(['red x', 'red y'])
    expect((await fleet.inspector.keys('*')).every((key) => /^(red|blue):\{acestream:default\}:/.test(key))).toBe(true)
  })
})
