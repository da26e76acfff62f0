import { spawnSync } from 'node:child_process'
import { RedisStore } from 'acestream-orchestrator-client/redis'
import { Cluster } from 'ioredis'
import { createCluster } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { untilSlotsAreGranted } from '../../support/first-redis-slot.ts'
import type { TestClient } from '../../support/redis-clients.ts'
import { slot } from '../../support/redis-fleet.ts'
import { freePort, isRedisMissing, RedisServer, until } from '../../support/redis-server.ts'

const LIBRARIES: Record<string, (ports: readonly number[]) => Promise<TestClient>> = {
  async ioredis(ports) {
    const client = new Cluster(ports.map((port) => ({ host: '127.0.0.1', port })))
    client.on('error', () => {})
    return { client, close: async () => client.disconnect() }
  },
  async 'node-redis'(ports) {
    const client = createCluster({ rootNodes: ports.map((port) => ({ url: `redis://127.0.0.1:${port}` })) })
    client.on('error', () => {})
    await client.connect()
    return { client, close: async () => client.destroy() }
  },
}

describe.skipIf(isRedisMissing)('a Redis cluster of three servers', () => {
  const servers: RedisServer[] = []
  beforeAll(async () => {
    for (let i = 0; i < 3; i += 1) {
      // By default its cluster port is its own port + 10,000, which may be higher than any valid port.
      const extra = ['--cluster-enabled', 'yes', '--cluster-port', String(await freePort())]
      servers.push(await RedisServer.start({ extra }))
    }
    const addresses = servers.map(({ port }) => `127.0.0.1:${port}`)
    const created = spawnSync('redis-cli', ['--cluster', 'create', ...addresses, '--cluster-yes'], { encoding: 'utf8' })
    if (created.status !== 0) throw new Error(created.stdout + created.stderr)
    for (const { port } of servers) {
      await until(() =>
        spawnSync('redis-cli', ['-p', String(port), 'cluster', 'info'], { encoding: 'utf8' }).stdout.includes('cluster_state:ok'),
      )
    }
  })
  afterAll(() => Promise.all(servers.map((server) => server.stop())))

  it.each(Object.keys(LIBRARIES))('is one store for %s: slots, ended ids, journal, notifications and recovery', async (library) => {
    const opened = await LIBRARIES[library]?.(servers.map(({ port }) => port))
    if (opened === undefined) throw new Error(library)
    // Several names, so that each server stores at least one fleet.
    for (const name of ['a', 'b', 'c', 'd', 'e'].map((letter) => `${library}-${letter}`)) {
      await untilSlotsAreGranted(opened.client, name)
      const [one, other] = ['one', 'other'].map(
        () => new RedisStore({ client: opened.client, name, timeoutMs: 600_000, slotTtlMs: 600_000 }),
      ) as [RedisStore, RedisStore]
      let freedCount = 0
      const undo = one.onSlotFreed(() => {
        freedCount += 1
      })
      expect(await one.take(slot('1', ['a', 'b']))).toBe('a')
      expect(await other.take(slot('2', ['a', 'b']))).toBe('b')
      expect(await one.take(slot('3', ['a', 'b']))).toBeUndefined()
      expect(await one.promote('1', 'x')).toBe(true)
      expect(await other.take(slot('4', ['a']))).toBeUndefined()
      await until(async () => {
        await other.releaseStream('y')
        await other.occupy('c', 'y')
        return freedCount > 0
      })
      undo()
      expect(await one.releaseStream('x')).toBe('a')
      expect(await other.take(slot('5', ['a']))).toBe('a')
      const retention = { now: Date.now(), retentionMs: 60_000, max: 10 }
      expect([await one.claimEnd('x', retention), await other.claimEnd('x', retention)]).toEqual([true, false])
      await one.append({ streamId: 'x', proxyId: 'p', isOver: true })
      await one.renew()
      await one.close()
      expect((await other.recover()).map(({ streamId }) => streamId)).toEqual(['x'])
      await other.close()
    }
    await opened.close()
  })
})
