import { setTimeout as sleep } from 'node:timers/promises'
import { ON_DISK, RedisServer } from '../../support/redis-server.ts'
import type { Fault, Undo } from './fault.ts'
import { STEP_MS } from './settings.ts'
import type { World } from './world.ts'

const between = (from: number, to: number, random: () => number): number => from + random() * (to - from)
/** 40 % are as short as a restart or a failover. The others last up to four times the time to live. */
const outageMs = (random: () => number): number => (random() < 0.4 ? between(0, 2_000, random) : between(2_000, 24_000, random))

const busy = new WeakSet<World>()

/** A fault of the server. There is only one at a time, and it begins while no call is in flight. */
export const onServer = (
  name: string,
  weight: number,
  begin: (world: World, random: () => number) => Promise<Undo | undefined>,
): Fault => ({
  name,
  weight,
  begin: async (world, random) => {
    if (busy.has(world)) return undefined
    await world.rest()
    world.log.add(`fault: ${name}`)
    const undo = await begin(world, random)
    if (undo === undefined) return undefined
    busy.add(world)
    return {
      afterMs: undo.afterMs,
      end: async () => {
        await undo.end()
        busy.delete(world)
        world.log.add(`over: ${name}`)
      },
    }
  },
})

/** The server is down for a while. */
const outage = (name: string, weight: number, signal: 'kill' | 'terminate', keepsData: boolean): Fault =>
  onServer(name, weight, async (world, random) => {
    world.storeGone()
    await world.server[signal]()
    if (!keepsData) world.server.deleteData()
    return {
      afterMs: outageMs(random),
      end: async () => {
        await world.server.start()
        if (!keepsData) world.truth.lostData()
        world.storeBack()
      },
    }
  })

/** A fault that is over at once. */
const sudden = (name: string, weight: number, happen: (world: World, random: () => number) => Promise<void>): Fault =>
  onServer(name, weight, async (world, random) => {
    await happen(world, random)
    return undefined
  })

async function evict(world: World, random: () => number): Promise<void> {
  const policy = ['allkeys-lru', 'volatile-ttl', 'volatile-lru', 'allkeys-random'][Math.floor(random() * 4)] ?? 'allkeys-lru'
  const { inspector } = world
  world.log.add(`policy: ${policy}`)
  for (let i = 0; i < 20; i += 1) await inspector.set(`filler-${i}`, 'x'.repeat(2_000), 'PX', 3_600_000 + i)
  await inspector.config('SET', 'maxmemory-policy', policy)
  const keysOfFleet = async (): Promise<number> => (await inspector.keys('*')).filter((key) => !key.startsWith('filler')).length
  const before = await keysOfFleet()
  for (let i = 0; i < 30 && before > 0 && (await keysOfFleet()) === before; i += 1) {
    const used = Number(/used_memory:(\d+)/.exec(await inspector.info('memory'))?.[1])
    await inspector.config('SET', 'maxmemory', used - 4_000)
  }
  await inspector.config('SET', 'maxmemory', '0')
  await inspector.config('SET', 'maxmemory-policy', 'noeviction')
  for (let i = 0; i < 20; i += 1) await inspector.del(`filler-${i}`)
  world.truth.lostData()
}

async function promoteReplica(world: World, random: () => number): Promise<Undo> {
  const { inspector, server, time } = world
  const replica = await RedisServer.start({ extra: ON_DISK, env: time.env })
  await replica.command(`REPLICAOF 127.0.0.1 ${server.port}`)
  while (!/state=online/.test(await inspector.info('replication'))) await sleep(5)
  await inspector.wait(1, 0)
  // From now on it gets no more writes.
  await replica.command('REPLICAOF NO ONE')
  // Wait until its first copy is on the disk. Otherwise it would start empty after a kill.
  while (!/aof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0/.test(await replica.command('INFO persistence'))) await sleep(5)
  return {
    afterMs: Math.ceil(between(0, 4, random)) * STEP_MS,
    end: () => {
      world.failOver(replica)
      world.truth.lostData()
      world.storeBack()
    },
  }
}

export const SERVER_FAULTS: readonly Fault[] = [
  outage('the server is shut down, and starts with its data', 3, 'terminate', true),
  outage('the server is killed, and starts with its data', 2, 'kill', true),
  outage('the server is killed, and starts empty', 3, 'kill', false),
  onServer('the server freezes', 3, async (world, random) => {
    world.storeGone()
    world.server.freeze()
    return {
      afterMs: outageMs(random),
      end: () => {
        world.server.thaw()
        world.thawed()
      },
    }
  }),
  onServer('the server is out of memory', 3, async (world, random) => {
    await world.inspector.config('SET', 'maxmemory-policy', 'noeviction')
    await world.inspector.config('SET', 'maxmemory', '1')
    world.truth.storeWritableSince = Number.POSITIVE_INFINITY
    return {
      afterMs: between(500, 20_000, random),
      end: async () => {
        await world.inspector.config('SET', 'maxmemory', '0')
        // Some writes were allowed, so the members do not get another whole time to live to report.
        world.truth.storeWritableSince = world.now
      },
    }
  }),
  onServer('a replica that lags is promoted', 3, promoteReplica),
  sudden('FLUSHALL', 2, async (world) => {
    await world.inspector.flushall()
    world.truth.lostData()
    world.storeBack()
  }),
  sudden('SCRIPT FLUSH', 3, async (world) => void (await world.inspector.script('FLUSH'))),
  sudden('one key is deleted', 4, async (world, random) => {
    const keys = (await world.inspector.keys('*')).sort()
    const key = keys[Math.floor(random() * keys.length)]
    if (key === undefined) return
    world.log.add(`DEL ${key}`)
    await world.inspector.del(key)
    world.truth.lostData()
  }),
  sudden('keys are evicted', 2, evict),
  sudden("the server's clock steps", 3, async (world, random) => {
    const seconds = random() < 0.5 ? 3_600 : -3_600
    world.log.add(`by ${seconds} s`)
    world.time.step(seconds)
  }),
]
