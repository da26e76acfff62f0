import { randomUUID } from 'node:crypto'
import type { CallerPlace } from 'acestream-orchestrator-client'
import type { RedisStore } from 'acestream-orchestrator-client/redis'
import { describe, expect, it } from 'vitest'
import { clock, eventually, Fleet, slot } from '../../support/redis-fleet.ts'
import { isRedisMissing } from '../../support/redis-server.ts'

const LIBRARIES = ['ioredis', 'node-redis']
/** How long Redis offers a slot to one proxy, milliseconds. */
const OFFER_MS = 650

/** Fleet -> of each proxy, the last message of {@link delivered} that it has received. */
const lastReceived = new WeakMap<Fleet, { message: string }[]>()

/** Resolves once each proxy of the fleet has received all messages that Redis has published. The clock does not advance. */
async function delivered(fleet: Fleet): Promise<void> {
  const message = `delivered-${randomUUID()}`
  // The form of a message that a stream was settled. It follows the others on each connection.
  await fleet.inspector.publish('{acestream:line}:state:freed', `test ${message}`)
  await eventually(() => (lastReceived.get(fleet) ?? []).every((last) => last.message === message), 0)
}

/** Advances the clock until `isSo` returns true. The time that messages take to arrive does not count. */
async function advanceUntil(fleet: Fleet, isSo: () => boolean): Promise<void> {
  for (;;) {
    await delivered(fleet)
    if (isSo()) return
    await clock.advance(1)
  }
}

/** A proxy of the fleet. It counts how often it is woken. */
async function proxy(fleet: Fleet, library: string) {
  const store = await fleet.store({ library, name: 'line', slotTtlMs: 600_000 })
  const woken = { count: 0 }
  const last = { message: '' }
  store.onSlotFreed((settledStreamId) => {
    if (settledStreamId?.startsWith('delivered-')) last.message = settledStreamId
    else woken.count += 1
  })
  // It gets a place in the line as soon as its subscription is ready.
  const placeCount = (): Promise<number> => fleet.inspector.zcard('{acestream:line}:line')
  const before = await placeCount()
  await eventually(async () => {
    await store.take({ ...slot('none', []), place: { since: clock.now(), isWaiting: true } })
    return (await placeCount()) > before
  }, 0)
  store.leaveLine()
  await store.unclaimEnd('any') // its answer comes after that of leaveLine()
  woken.count = 0
  lastReceived.set(fleet, [...(lastReceived.get(fleet) ?? []), last])
  let takeCount = 0
  const take = (place: CallerPlace, engines: readonly string[] = ['a']): Promise<string | undefined> => {
    takeCount += 1
    return store.take({ ...slot(`lease-${takeCount}-of-${library}`, engines), place })
  }
  const wait = (since: number, engines?: readonly string[]): Promise<string | undefined> => take({ since, isWaiting: true }, engines)
  /** Asks once it is woken. */
  const wokenFrom = async (since: number, engines?: readonly string[]): Promise<string | undefined> => {
    await eventually(() => woken.count > 0, 0)
    return wait(since, engines)
  }
  /** Asks each time it is woken, until it is served. Returns when that was. */
  const servedFrom = async (since: number): Promise<number> => {
    for (let asked = 0; ; asked += 1) {
      await advanceUntil(fleet, () => woken.count > 0)
      woken.count = 0
      if ((await wait(since + asked / 1_000)) !== undefined) return clock.now()
    }
  }
  return { store, woken, take, wait, wokenFrom, servedFrom }
}

/** Times of calls, one after the other. They are over. */
async function calls(): Promise<[first: number, second: number, third: number]> {
  const now = clock.now()
  await clock.advance(10)
  return [now, now + 1, now + 2]
}

/** A caller that calls at the same time as another does not get its answer: the store asks Redis. */
const again = (since: number): number => since + 0.001

async function fullEngine(fleet: Fleet, engines: readonly string[] = ['a']): Promise<RedisStore> {
  const holder = await fleet.store({ name: 'line', slotTtlMs: 600_000 })
  for (const engine of engines) await holder.occupy(engine, `on ${engine}`)
  return holder
}

const turnOf = (fleet: Fleet): Promise<string | null> => fleet.inspector.hget('{acestream:line}:state', '!turn')

const scriptCount = async (fleet: Fleet): Promise<number> =>
  Number(/cmdstat_evalsha:calls=(\d+)/.exec(await fleet.inspector.info('commandstats'))?.[1])

describe.skipIf(isRedisMissing).each(LIBRARIES)('the line of a fleet (%s)', (library) => {
  it('a slot that becomes free goes to the proxy whose caller called first, even if another proxy asks first', async () => {
    await using fleet = await Fleet.start()
    const holder = await fullEngine(fleet)
    const [late, early] = [await proxy(fleet, library), await proxy(fleet, library)]
    const [first, second] = await calls()
    expect(await late.wait(second)).toBeUndefined()
    expect(await early.wait(first)).toBeUndefined()
    await holder.releaseStream('on a')
    expect(await late.wait(again(second))).toBeUndefined()
    expect(await early.wokenFrom(first)).toBe('a')
  })

  it('a slot that becomes free wakes the first proxy alone', async () => {
    await using fleet = await Fleet.start()
    const holder = await fullEngine(fleet)
    const proxies = [await proxy(fleet, library), await proxy(fleet, library), await proxy(fleet, library)]
    const times = await calls()
    for (const [place, one] of proxies.entries()) expect(await one.wait(times[place] as number)).toBeUndefined()
    await holder.releaseStream('on a')
    await eventually(() => proxies.some(({ woken }) => woken.count > 0), 0)
    await fleet.inspector.ping()
    expect(proxies.map(({ woken }) => woken.count)).toEqual([1, 0, 0])
  })

  it('several slots that become free are offered to as many proxies at once', async () => {
    await using fleet = await Fleet.start()
    const engines = ['a', 'b']
    const holder = await fullEngine(fleet, engines)
    const [one, other, third] = [await proxy(fleet, library), await proxy(fleet, library), await proxy(fleet, library)]
    const times = await calls()
    for (const [place, waiting] of [one, other, third].entries()) await waiting.wait(times[place] as number, engines)
    await Promise.all([holder.releaseStream('on a'), holder.releaseStream('on b')])
    await eventually(() => one.woken.count + other.woken.count === 2, 0)
    expect(await third.wait(again(times[2]), engines)).toBeUndefined()
    // The second need not wait for the first.
    expect(await other.wait(times[1], engines)).toBe('a')
    expect(await one.wait(times[0], engines)).toBe('b')
  })

  it('a caller that has just called does not overtake callers that wait at another proxy', async () => {
    await using fleet = await Fleet.start()
    const holder = await fullEngine(fleet)
    const [waiting, other] = [await proxy(fleet, library), await proxy(fleet, library)]
    const [first] = await calls()
    expect(await waiting.wait(first)).toBeUndefined()
    await holder.releaseStream('on a')
    expect(await other.take({ since: clock.now(), isWaiting: false })).toBeUndefined()
    expect(await waiting.wokenFrom(first)).toBe('a')
  })

  it('a first proxy that does not answer delays the others by less than one second', async () => {
    await using fleet = await Fleet.start()
    const holder = await fullEngine(fleet)
    const [silent, next] = [await proxy(fleet, library), await proxy(fleet, library)]
    const [first, second] = await calls()
    await silent.wait(first)
    await next.wait(second)
    const freedAt = clock.now()
    await holder.releaseStream('on a')
    await clock.advance(OFFER_MS - 1)
    expect(await next.wait(again(second))).toBeUndefined()
    await advanceUntil(fleet, () => next.woken.count > 0)
    expect(clock.now() - freedAt).toBeLessThan(1_000)
    expect(await next.wait(second)).toBe('a')
  })

  it('several first proxies that do not answer delay the others by one second together', async () => {
    await using fleet = await Fleet.start()
    const holder = await fullEngine(fleet)
    const silent = [await proxy(fleet, library), await proxy(fleet, library), await proxy(fleet, library), await proxy(fleet, library)]
    const [first, second] = [await proxy(fleet, library), await proxy(fleet, library)]
    const since = clock.now()
    await clock.advance(100)
    for (const [place, one] of silent.entries()) await one.wait(since + place)
    await first.wait(since + 10)
    await second.wait(since + 20)
    const freedAt = clock.now()
    await holder.releaseStream('on a')
    const [servedAt, secondAnswer] = await Promise.all([
      first.servedFrom(since + 10),
      // It asks first, but it is not its turn.
      second.wokenFrom(since + 20),
    ])
    expect(servedAt - freedAt).toBeLessThanOrEqual(1_000)
    expect(secondAnswer).toBeUndefined()
    // The roll call is over: the next slot is offered to one proxy, and the living first is first.
    expect(await turnOf(fleet)).toBeNull()
    expect(await fleet.inspector.zcard('{acestream:line}:line')).toBe(1)
  })

  it('after proxies did not answer, a free slot is again offered to one proxy alone', async () => {
    await using fleet = await Fleet.start()
    const engines = ['a', 'b']
    const holder = await fullEngine(fleet, engines)
    const [silent, ...living] = [
      await proxy(fleet, library),
      await proxy(fleet, library),
      await proxy(fleet, library),
      await proxy(fleet, library),
    ]
    const since = clock.now()
    await clock.advance(100)
    await silent?.wait(since, engines)
    for (const [place, one] of living.entries()) await one.wait(since + 10 * (place + 1), engines)
    await Promise.all([holder.releaseStream('on a'), holder.releaseStream('on b')])
    await clock.advance(OFFER_MS)
    expect(await living[1]?.wait(again(since + 20), engines)).toBe('a')
    expect(await turnOf(fleet)).not.toContain('!')
    expect((await turnOf(fleet))?.match(/\+/g)).toHaveLength(1)
  })

  it('a proxy that has lost its place gets it again when it asks', async () => {
    await using fleet = await Fleet.start()
    const holder = await fullEngine(fleet)
    const [slow, next] = [await proxy(fleet, library), await proxy(fleet, library)]
    const [first, second] = await calls()
    await slow.wait(first)
    await next.wait(second)
    await holder.releaseStream('on a')
    await clock.advance(2 * OFFER_MS)
    expect(await slow.wait(again(first))).toBe('a')
    expect(await next.wait(again(second))).toBeUndefined()
  })

  it('a proxy whose callers have left passes its turn at once', async () => {
    await using fleet = await Fleet.start()
    const holder = await fullEngine(fleet)
    const [leaving, next] = [await proxy(fleet, library), await proxy(fleet, library)]
    const [first, second] = await calls()
    await leaving.wait(first)
    await next.wait(second)
    leaving.store.leaveLine()
    await leaving.store.unclaimEnd('any') // its answer comes after that of leaveLine()
    await holder.releaseStream('on a')
    expect(await next.wokenFrom(second)).toBe('a')
  })

  it('a proxy that can not use the free engine passes it to the next proxy', async () => {
    await using fleet = await Fleet.start()
    const holder = await fullEngine(fleet, ['a', 'b'])
    const [choosy, next] = [await proxy(fleet, library), await proxy(fleet, library)]
    const [first, second] = await calls()
    await choosy.wait(first, ['b'])
    await next.wait(second, ['a', 'b'])
    await holder.releaseStream('on a')
    expect(await choosy.wokenFrom(first, [])).toBeUndefined()
    expect(await next.wokenFrom(second, ['a', 'b'])).toBe('a')
  })

  it('a served proxy keeps a place for its next caller, behind the callers that called before that one', async () => {
    await using fleet = await Fleet.start()
    const engines = ['a', 'b']
    const holder = await fullEngine(fleet, engines)
    const [one, other] = [await proxy(fleet, library), await proxy(fleet, library)]
    const since = clock.now()
    await clock.advance(3_000)
    const places = { early: { since, isWaiting: true, nextSince: since + 2_000 }, between: since + 1_000, late: since + 2_000 }
    await one.take(places.early, engines)
    await other.wait(places.between, engines)
    await holder.releaseStream('on a')
    await eventually(() => one.woken.count > 0, 0)
    expect(await one.take(places.early, engines)).toBe('a')
    expect(await fleet.inspector.zcard('{acestream:line}:line')).toBe(2)
    await holder.releaseStream('on b')
    expect(await one.wait(places.late, engines)).toBeUndefined()
    expect(await other.wokenFrom(places.between, engines)).toBe('b')
  })

  it('leaves nothing in Redis when no caller waits any more', async () => {
    await using fleet = await Fleet.start()
    const holder = await fullEngine(fleet)
    const [one, other] = [await proxy(fleet, library), await proxy(fleet, library)]
    const [first, second] = await calls()
    await one.wait(first)
    await other.wait(second)
    expect(await fleet.inspector.zcard('{acestream:line}:line')).toBe(2)
    await holder.releaseStream('on a')
    expect(await one.wokenFrom(first)).toBe('a')
    other.store.leaveLine()
    await other.store.unclaimEnd('any')
    expect(await fleet.inspector.exists('{acestream:line}:line')).toBe(0)
    expect(await fleet.inspector.hget('{acestream:line}:state', '!turn')).toBeNull()
  })

  it('a lease that becomes a stream frees no slot, so that none is offered', async () => {
    await using fleet = await Fleet.start()
    const holder = await fleet.store({ library, name: 'line', slotTtlMs: 600_000 })
    expect(await holder.take(slot('lease', ['a']))).toBe('a')
    const waiting = await proxy(fleet, library)
    await waiting.wait(clock.now())
    expect(await holder.promote('lease', 'stream')).toBe(true)
    expect(await fleet.inspector.hget('{acestream:line}:state', '!turn')).toBeNull()
  })

  it('a caller that waits does not ask Redis again until something has changed', async () => {
    await using fleet = await Fleet.start()
    const holder = await fullEngine(fleet)
    const waiting = await proxy(fleet, library)
    const [first] = await calls()
    await waiting.wait(first)
    const scriptsOf = async (work: () => Promise<unknown>): Promise<number> => {
      const before = await scriptCount(fleet)
      await work()
      return (await scriptCount(fleet)) - before
    }
    expect(await scriptsOf(() => waiting.wait(first))).toBe(0)
    // In case Redis has lost its place.
    for (let time = 0; time < 3; time += 1) {
      await clock.advance(5_000)
      expect(await scriptsOf(() => waiting.wait(first))).toBe(1)
      expect(await scriptsOf(() => waiting.wait(first))).toBe(0)
    }
    await holder.releaseStream('on a')
    expect(await waiting.wokenFrom(first)).toBe('a')
  })

  it('a served proxy that has another waiting caller wakes no other proxy in vain', async () => {
    await using fleet = await Fleet.start()
    const holder = await fullEngine(fleet)
    const [one, other] = [await proxy(fleet, library), await proxy(fleet, library)]
    const [first, second, third] = await calls()
    await one.wait(first)
    await other.wait(second)
    await holder.releaseStream('on a')
    await eventually(() => one.woken.count > 0, 0)
    expect(await one.take({ since: first, isWaiting: true, nextSince: third })).toBe('a')
    await one.store.unclaimEnd('any')
    await fleet.inspector.ping()
    expect(other.woken.count).toBe(0)
    expect(await turnOf(fleet)).toBeNull()
  })

  it('a proxy that frees a slot while its own caller waits wakes the first proxy alone', async () => {
    await using fleet = await Fleet.start()
    const [one, other, last] = [await proxy(fleet, library), await proxy(fleet, library), await proxy(fleet, library)]
    await last.store.occupy('a', 'own')
    const [first, second, third] = await calls()
    await one.wait(first)
    await other.wait(second)
    await last.wait(third)
    const [, taken] = await Promise.all([last.store.releaseStream('own'), last.wait(again(third))])
    expect(taken).toBeUndefined()
    expect(await one.wokenFrom(first)).toBe('a')
    expect(await turnOf(fleet)).toBeNull()
    expect(other.woken.count).toBe(0)
  })

  it('a free slot that a caller without patience has seen is offered to one proxy', async () => {
    await using fleet = await Fleet.start()
    await fullEngine(fleet)
    const [one, other, impatient] = [await proxy(fleet, library), await proxy(fleet, library), await proxy(fleet, library)]
    const [first, second] = await calls()
    await one.wait(first)
    await other.wait(second)
    expect(await impatient.take({ since: clock.now(), isWaiting: false }, ['new'])).toBeUndefined()
    expect(await one.wokenFrom(first, ['new'])).toBe('new')
    expect(await turnOf(fleet)).toBeNull()
    expect(other.woken.count).toBe(0)
  })

  it('a proxy that answers its offer too late keeps its place, although the slot is taken meanwhile', async () => {
    await using fleet = await Fleet.start()
    const holder = await fullEngine(fleet)
    const [slow, next] = [await proxy(fleet, library), await proxy(fleet, library)]
    const [first, second] = await calls()
    await slow.wait(first)
    await next.wait(second)
    await holder.releaseStream('on a')
    await holder.occupy('a', 'another')
    await clock.advance(OFFER_MS)
    expect(await slow.wait(again(first))).toBeUndefined()
    expect(await fleet.inspector.zcard('{acestream:line}:line')).toBe(2)
  })

  it.each(['', 'garbage', '1', 'x y z', '-1 - +nobody -', '1 - +@ +a@b', '1 - !', '0 - ! ='])(
    'a turn that this library did not write (%j) stops no caller',
    async (turn) => {
      await using fleet = await Fleet.start()
      const holder = await fullEngine(fleet)
      const [one, other] = [await proxy(fleet, library), await proxy(fleet, library)]
      const [first, second] = await calls()
      await one.wait(first)
      await other.wait(second)
      await fleet.inspector.hset('{acestream:line}:state', '!turn', turn)
      // A caller that is not first sees room in a turn like this.
      expect(await other.wait(again(second), ['new'])).toBeUndefined()
      await fleet.inspector.hset('{acestream:line}:state', '!turn', turn)
      await holder.releaseStream('on a')
      expect(await one.wokenFrom(first)).toBe('a')
    },
  )

  it('an offer that was made before the clock of Redis was set back holds up no other proxy', async () => {
    await using fleet = await Fleet.start()
    const holder = await fullEngine(fleet)
    const next = await proxy(fleet, library)
    await next.wait(clock.now())
    await fleet.inspector.zadd('{acestream:line}:line', 0, 'dead')
    await fleet.inspector.hset('{acestream:line}:state', '!turn', `0 - +dead@${clock.now() + 3_600_000}`)
    await holder.releaseStream('on a')
    expect(await next.wokenFrom(clock.now())).toBe('a')
  })

  it('a caller learns that an engine has room as soon as a stream is settled that was reported there', async () => {
    await using fleet = await Fleet.start()
    const holder = await fleet.store({ name: 'line', slotTtlMs: 600_000 })
    await holder.append({ streamId: 'reported', proxyId: 'p', isOver: true })
    const waiting = await proxy(fleet, library)
    const candidates = [{ containerId: 'a', reportedStreamIds: ['reported'] }]
    const place = { since: clock.now(), isWaiting: true }
    expect(await waiting.store.take({ ...slot('lease', []), candidates, place })).toBeUndefined()
    expect([...waiting.store.usage().keys()]).toEqual(['a'])
    await holder.settle('reported')
    await eventually(() => waiting.store.usage().size === 0, 0)
    expect(await waiting.wokenFrom(place.since)).toBe('a')
  })

  it('a slot that a proxy of an earlier release has freed is found at once', async () => {
    await using fleet = await Fleet.start()
    await fullEngine(fleet)
    const waiting = await proxy(fleet, library)
    const [first] = await calls()
    await waiting.wait(first)
    expect([...waiting.store.usage().keys()]).toEqual(['a'])
    await fleet.inspector.hdel('{acestream:line}:state', 'e:a')
    await fleet.inspector.publish('{acestream:line}:state:freed', 'earlier-release')
    await eventually(() => waiting.woken.count > 0, 0)
    expect(waiting.store.usage().size).toBe(0)
    expect(await waiting.wait(first)).toBe('a')
  })

  it('a proxy that was taken for dead takes its place again as soon as it has joined', async () => {
    await using fleet = await Fleet.start()
    await fullEngine(fleet)
    const waiting = await proxy(fleet, library)
    const [first] = await calls()
    await waiting.wait(first)
    const [id = ''] = await fleet.inspector.zrange('{acestream:line}:line', '0', '-1')
    await fleet.inspector.hset('{acestream:line}:state', `m:${id}`, 'x')
    await waiting.store.renew()
    expect(waiting.woken.count).toBe(1)
    expect(await waiting.wait(first)).toBeUndefined()
    expect(await fleet.inspector.zrange('{acestream:line}:line', '0', '-1')).not.toEqual([id])
    expect(await fleet.inspector.zcard('{acestream:line}:line')).toBe(1)
  })

  it('a proxy that left the line takes its place again when the same caller asks', async () => {
    await using fleet = await Fleet.start()
    await fullEngine(fleet)
    const waiting = await proxy(fleet, library)
    const [first] = await calls()
    await waiting.wait(first)
    waiting.store.leaveLine()
    expect(await waiting.wait(first)).toBeUndefined()
    expect(await fleet.inspector.zcard('{acestream:line}:line')).toBe(1)
  })

  it('a proxy passes its turn at once if the free slot was taken before it asks', async () => {
    await using fleet = await Fleet.start()
    const holder = await fullEngine(fleet)
    const [one, other] = [await proxy(fleet, library), await proxy(fleet, library)]
    const [first, second] = await calls()
    await one.wait(first)
    await other.wait(second)
    await holder.releaseStream('on a')
    await holder.occupy('a', 'another')
    expect(await one.wokenFrom(first, [])).toBeUndefined()
    expect(await other.wokenFrom(second, [])).toBeUndefined()
    expect(await turnOf(fleet)).toMatch(/^0 - #\d+ =/)
  })

  it('a client keeps the place of its callers when another client that shares its store has no caller any more', async () => {
    await using fleet = await Fleet.start()
    const engines = ['a', 'b']
    const holder = await fullEngine(fleet, engines)
    const [shared, other] = [await proxy(fleet, library), await proxy(fleet, library)]
    const [first, second, third] = await calls()
    await shared.take({ since: second, isWaiting: true, clientId: 'one' }, engines)
    await other.wait(third, engines)
    await shared.take({ since: first, isWaiting: true, clientId: 'two' }, engines)
    await holder.releaseStream('on a')
    await eventually(() => shared.woken.count > 0, 0)
    expect(await shared.take({ since: first, isWaiting: true, clientId: 'two' }, engines)).toBe('a')
    shared.store.leaveLine('two')
    await shared.store.unclaimEnd('any')
    shared.woken.count = 0
    await holder.releaseStream('on b')
    await eventually(() => shared.woken.count > 0, 0)
    expect(await shared.take({ since: second, isWaiting: true, clientId: 'one' }, engines)).toBe('b')
    shared.store.leaveLine('one')
    other.store.leaveLine()
    await eventually(async () => (await fleet.inspector.zcard('{acestream:line}:line')) === 0, 0)
  })

  it('a caller gets a free slot that no caller before it can use, also if one of them called at the same proxy', async () => {
    await using fleet = await Fleet.start()
    const holder = await fullEngine(fleet)
    const [one, other] = [await proxy(fleet, library), await proxy(fleet, library)]
    const [first, second, third] = await calls()
    const choosy = { since: first, isWaiting: true, nextSince: third }
    const easy = { since: third, isWaiting: true, nextSince: first }
    await one.take(choosy, [])
    await other.wait(second, [])
    await holder.releaseStream('on a')
    await eventually(() => one.woken.count > 0, 0)
    expect(await one.take(choosy, [])).toBeUndefined()
    expect(await one.take(easy, ['a'])).toBeUndefined()
    one.woken.count = 0
    expect(await other.wokenFrom(second, [])).toBeUndefined()
    await eventually(() => one.woken.count > 0, 0)
    expect(await one.take({ ...easy }, ['a'])).toBe('a')
  })

  it('a slot that the second caller of a proxy has seen is offered to the other proxies if its first caller can not use it', async () => {
    await using fleet = await Fleet.start()
    const [one, other] = [await proxy(fleet, library), await proxy(fleet, library)]
    const [first, second, third] = await calls()
    const choosy = { since: first, isWaiting: true, nextSince: third }
    const easy = { since: third, isWaiting: true, nextSince: first }
    await one.take(choosy, [])
    await other.wait(second, [])
    expect(await one.take(easy, ['new'])).toBeUndefined()
    await eventually(() => one.woken.count > 0, 0)
    expect(await one.take(choosy, [])).toBeUndefined()
    one.woken.count = 0
    expect(await other.wokenFrom(second, [])).toBeUndefined()
    await eventually(() => one.woken.count > 0, 0)
    expect(await one.take({ ...easy }, ['new'])).toBe('new')
  })

  it('a proxy that takes its place while a slot is offered to another is offered the slot when that one can not use it', async () => {
    await using fleet = await Fleet.start()
    const holder = await fullEngine(fleet)
    const [choosy, late] = [await proxy(fleet, library), await proxy(fleet, library)]
    const [first, second] = await calls()
    await choosy.wait(first, [])
    await late.wait(second, [])
    late.store.leaveLine()
    await late.store.unclaimEnd('any')
    await holder.releaseStream('on a')
    await eventually(() => choosy.woken.count > 0, 0)
    // It knows already that the engine was freed, and has no engine that it could ask for.
    await late.wait(second, [])
    await late.wait(again(second), [])
    late.woken.count = 0
    expect(await choosy.wait(first, [])).toBeUndefined()
    expect(await late.wokenFrom(second)).toBe('a')
  })

  it('a slot that became free is offered to the next proxy if the first takes another slot', async () => {
    await using fleet = await Fleet.start()
    const holder = await fullEngine(fleet)
    const [one, other] = [await proxy(fleet, library), await proxy(fleet, library)]
    const [first, second] = await calls()
    await one.wait(first)
    await other.wait(second)
    await holder.releaseStream('on a')
    await eventually(() => one.woken.count > 0, 0)
    expect(await one.wait(first, ['new', 'a'])).toBe('new')
    expect(await other.wokenFrom(second)).toBe('a')
    expect(await turnOf(fleet)).toBeNull()
  })

  it('a caller without patience gets a free slot that all waiting proxies have just passed', async () => {
    await using fleet = await Fleet.start()
    const [waiting, impatient] = [await proxy(fleet, library), await proxy(fleet, library)]
    const [first] = await calls()
    await waiting.wait(first, [])
    expect(await impatient.take({ since: clock.now(), isWaiting: false }, ['new'])).toBeUndefined()
    expect(await waiting.wokenFrom(first, [])).toBeUndefined()
    expect(await impatient.take({ since: clock.now(), isWaiting: false }, ['new'])).toBe('new')
    // A second later they may be able to use it.
    await clock.advance(OFFER_MS)
    expect(await impatient.take({ since: clock.now(), isWaiting: false }, ['another'])).toBeUndefined()
    waiting.store.leaveLine()
    await waiting.store.unclaimEnd('any')
    expect(await turnOf(fleet)).toBeNull()
  })

  it('a slot that the first three proxies can not use is found by the fourth when it asks next', async () => {
    await using fleet = await Fleet.start()
    const holder = await fullEngine(fleet)
    const choosy = [await proxy(fleet, library), await proxy(fleet, library), await proxy(fleet, library)]
    const fourth = await proxy(fleet, library)
    const times = await calls()
    for (const [place, one] of choosy.entries()) await one.wait(times[place] as number, [])
    const since = clock.now()
    await fourth.wait(since, [])
    await holder.releaseStream('on a')
    for (const [place, one] of choosy.entries()) await one.wokenFrom(times[place] as number, [])
    await eventually(async () => (await turnOf(fleet))?.includes(' =') === true, 0)
    // It asks again without candidates, and learns which engine has a slot.
    const before = await scriptCount(fleet)
    await eventually(async () => {
      await fourth.wait(since, [])
      return (await scriptCount(fleet)) > before
    }, 0)
    expect(fourth.woken.count).toBe(0)
    expect(await fourth.wait(since)).toBe('a')
  })
})
