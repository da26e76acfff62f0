import { spawnSync } from 'node:child_process'
import { type RedisClient, RedisStore } from 'acestream-orchestrator-client/redis'
import { Cluster, Redis } from 'ioredis'
import { createCluster } from 'redis'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { untilSlotsAreGranted } from '../../support/first-redis-slot.ts'
import { eventually, Fleet, slot } from '../../support/redis-fleet.ts'
import { freePort, isRedisMissing, RedisServer, until } from '../../support/redis-server.ts'
import { recordedLog } from './recorded-log.ts'

interface Opened {
  readonly client: RedisClient
  readonly close: () => void
}

const LIBRARIES: Record<string, (ports: readonly number[]) => Promise<Opened>> = {
  async ioredis(ports) {
    const client = new Cluster(ports.map((port) => ({ host: '127.0.0.1', port })))
    return { client, close: () => client.disconnect() }
  },
  async 'node-redis'(ports) {
    const client = createCluster({ rootNodes: ports.map((port) => ({ url: `redis://127.0.0.1:${port}` })) })
    client.on('error', () => {})
    await client.connect()
    return { client, close: () => client.destroy() }
  },
}

const now = () => Date.now()
const retention = () => ({ now: now(), retentionMs: 60_000, max: 1_000 })
const run = (port: number, ...args: string[]): string => spawnSync('redis-cli', ['-p', String(port), ...args], { encoding: 'utf8' }).stdout

describe.skipIf(isRedisMissing)('a cluster that moves a fleet to another server', () => {
  const servers: RedisServer[] = []
  const nodes: Redis[] = []
  let replica: RedisServer
  const startNode = async () => RedisServer.start({ extra: ['--cluster-enabled', 'yes', '--cluster-port', String(await freePort())] })
  beforeAll(async () => {
    for (let i = 0; i < 3; i += 1) servers.push(await startNode())
    replica = await startNode()
    const addresses = servers.map(({ port }) => `127.0.0.1:${port}`)
    const created = spawnSync('redis-cli', ['--cluster', 'create', ...addresses, '--cluster-yes'], { encoding: 'utf8' })
    if (created.status !== 0) throw new Error(created.stdout + created.stderr)
    for (const { port } of servers) await until(() => run(port, 'cluster', 'info').includes('cluster_state:ok'))
    nodes.push(...servers.map(({ port }) => new Redis({ host: '127.0.0.1', port })))
  })
  afterAll(async () => {
    for (const node of nodes) node.disconnect()
    await Promise.all([...servers, replica].map((server) => server.stop()))
  })

  const idOf = async (node: Redis) => String(await node.call('CLUSTER', 'MYID'))
  /** The server that owns the hash slot, and another one. */
  const sourceAndTarget = async (hashSlot: number): Promise<[Redis, Redis]> => {
    const ranges = (await nodes[0]?.call('CLUSTER', 'SLOTS')) as [number, number, [string, number, string]][]
    const owner = ranges.find(([from, to]) => from <= hashSlot && hashSlot <= to)?.[2][2]
    const ids = await Promise.all(nodes.map(idOf))
    const source = nodes[ids.indexOf(owner ?? '')]
    const target = nodes.find((node) => node !== source)
    if (source === undefined || target === undefined) throw new Error('no such server')
    return [source, target]
  }

  it.each(Object.keys(LIBRARIES))('answers every call within its time-out, and loses nothing (%s)', async (library) => {
    const opened = await LIBRARIES[library]?.(servers.map(({ port }) => port))
    if (opened === undefined) throw new Error(library)
    onTestFinished(() => opened.close())
    const name = `moving ${library}`
    await untilSlotsAreGranted(opened.client, name)
    const { logger, lines } = recordedLog()
    const make = () => new RedisStore({ client: opened.client, name, logger, timeoutMs: 600_000, slotTtlMs: 600_000 })
    const [store, peer] = [make(), make()]
    const freed: unknown[] = []
    store.onSlotFreed((streamId) => freed.push(streamId))
    expect(await store.take(slot('lease', ['a']))).toBe('a')
    await peer.occupy('b', 'x')
    await store.append({ streamId: 'x', proxyId: 'p', isOver: false })
    expect(await store.claimEnd('ended', retention())).toBe(true)

    const keys = ['state', 'ended', 'lives'].map((part) => `{acestream:${name}}:${part}`)
    const hashSlot = Number(await nodes[0]?.call('CLUSTER', 'KEYSLOT', keys[0] ?? ''))
    const [source, target] = await sourceAndTarget(hashSlot)
    await target.call('CLUSTER', 'SETSLOT', hashSlot, 'IMPORTING', await idOf(source))
    await source.call('CLUSTER', 'SETSLOT', hashSlot, 'MIGRATING', await idOf(target))
    const answers: Promise<unknown>[] = []
    const call = (): void => {
      const n = answers.length
      answers.push(peer.occupy('c', `${n}`), store.claimEnd(`end ${n}`, retention()))
    }
    for (const key of keys) {
      call()
      await source.migrate('127.0.0.1', target.options.port ?? 0, key, 0, 5_000)
      call()
      const answer = await source.exists(...keys).catch((error: Error) => error.message)
      expect(answer).toMatch(key === keys.at(-1) ? /^ASK/ : /^TRYAGAIN/)
    }
    for (const node of [target, source, ...nodes]) await node.call('CLUSTER', 'SETSLOT', hashSlot, 'NODE', await idOf(target))
    call()
    expect(await Promise.all(answers)).toEqual(answers.map((_, place) => (place % 2 === 0 ? undefined : true)))
    expect(await sourceAndTarget(hashSlot)).toContain(target)

    expect(lines.filter((line) => line.startsWith('error'))).toEqual([])
    expect([...(await peer.endedAmong(['ended', 'end 0'], retention())).keys()].sort()).toEqual(['end 0', 'ended'])
    // The new server may lack the last writes: it grants no new slot for a while, and it keeps all slots that it has.
    await expect(peer.take(slot('early', ['d']))).rejects.toMatchObject({ reason: 'unavailable' })
    await target.hdel(keys[0] ?? '', '!opening')
    expect(await peer.take(slot('late', ['a', 'b', 'd']))).toBe('d')
    expect(await store.promote('lease', 'y')).toBe(true)
    expect(await store.releaseStream('y')).toBe('a')
    // The notification arrives, whichever server publishes it.
    await until(async () => {
      await peer.append({ streamId: 'w', proxyId: 'p', isOver: true })
      await peer.settle('w')
      return freed.includes('w')
    })
    await store.settle('x')
    await store.close()
    await peer.close()
  })

  it.each(Object.keys(LIBRARIES))('with a failover answers every call within its time-out, and loses nothing (%s)', async (library) => {
    const opened = await LIBRARIES[library]?.(servers.map(({ port }) => port))
    if (opened === undefined) throw new Error(library)
    onTestFinished(() => opened.close())
    const name = `failing over ${library}`
    await untilSlotsAreGranted(opened.client, name)
    const { logger, lines } = recordedLog()
    const store = new RedisStore({ client: opened.client, name, logger, timeoutMs: 600_000, slotTtlMs: 600_000 })
    expect(await store.take(slot('lease', ['a']))).toBe('a')
    await store.occupy('b', 'x')
    const hashSlot = Number(await nodes[0]?.call('CLUSTER', 'KEYSLOT', `{acestream:${name}}:state`))
    const ranges = (await nodes[0]?.call('CLUSTER', 'SLOTS')) as [number, number, [string, number, string]][]
    const [, masterPort, masterId] = ranges.find(([from, to]) => from <= hashSlot && hashSlot <= to)?.[2] ?? ['', 0, '']
    const standby = [replica, ...servers].find((server) => run(server.port, 'role').startsWith('slave'))
    const { port } = standby ?? replica
    const busPort =
      /@(\d+)/.exec(
        run(masterPort, 'cluster', 'nodes')
          .split('\n')
          .find((line) => line.includes('myself')) ?? '',
      )?.[1] ?? ''
    run(port, 'cluster', 'meet', '127.0.0.1', String(masterPort), busPort)
    await until(() => run(port, 'cluster', 'replicate', masterId).startsWith('OK'))
    await until(() => run(port, 'role').includes('connected'))
    run(port, 'cluster', 'failover')
    const answers = Array.from({ length: 20 }, (_, n) => store.claimEnd(`end ${n}`, retention()))
    await until(() => run(port, 'role').startsWith('master'))
    answers.push(store.claimEnd('end', retention()))
    expect(await Promise.all(answers)).toEqual(answers.map(() => true))
    expect(lines.filter((line) => line.startsWith('error'))).toEqual([])
    expect(await store.promote('lease', 'y')).toBe(true)
    await expect(store.take(slot('early', ['d']))).rejects.toMatchObject({ reason: 'unavailable' })
    expect([...(await store.endedAmong(['end 0', 'end'], retention())).keys()].sort()).toEqual(['end', 'end 0'])
    await store.close()
  })

  it.each(['MOVED 12871 127.0.0.1:43459', 'TRYAGAIN Multiple keys request during rehashing of slot'])(
    'is not reported as an outage when ioredis stops following redirections: %s',
    async (last) => {
      await using fleet = await Fleet.start()
      const { logger, lines } = recordedLog()
      let refusals = 0
      let isSent = false
      const store = await fleet.store({
        logger,
        timeoutMs: 1_000,
        deliver: (send) => {
          isSent = refusals === 0
          if (isSent) return send()
          refusals -= 1
          return Promise.reject(new Error(`Too many Cluster redirections. Last error: ReplyError: ${last}`))
        },
      })
      await store.renew()
      refusals = 5
      isSent = false
      const taking = store.take(slot('lease', ['a']))
      // Until the command is sent to Redis. From then on the clock stands still: a slow answer is no time-out.
      await eventually(() => isSent)
      expect(await taking).toBe('a')
      expect(lines).toEqual([])
    },
  )
})
