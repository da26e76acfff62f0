import { describe, expect, it } from 'vitest'
import { attack, recordConnections } from './attacker.ts'
import { expectNothingLeft } from './nothing-left.ts'
import { eventually, stage } from './stage.ts'

const openSockets = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length

describe('a proxy under attack', () => {
  it.each([
    [1, '', false],
    [2, '/tv', true],
  ])(
    'answers 10,000 random requests, keeps no slot, stream, session or socket of them, and connects to no host that a viewer names (seed %d, base path %j, reverse proxy trusted: %j)',
    async (seed, basePath, isProxyTrusted) => {
      const connections = recordConnections()
      const world = await stage({
        engineCount: 2,
        client: { maxStreamsPerEngine: 8 },
        proxy: { basePath, isProxyTrusted, hlsTimeoutMs: 1 },
      })
      await attack(world.url, { count: 100, seed: seed + 100, basePath })
      await expectNothingLeft(world, connections)
      const socketsBefore = openSockets()
      const counts = await attack(world.url, { count: 10_000, seed, basePath })
      expect(Object.keys(counts).filter((status) => !['200', '204', '400', '404', '405', 'none'].includes(status))).toEqual([])
      expect(Object.values(counts).reduce((sum, count) => sum + count)).toBe(10_000)
      await expectNothingLeft(world, connections)
      await eventually(() => expect(openSockets()).toBeLessThanOrEqual(socketsBefore))
      expect((await fetch(`${world.url}${basePath}/healthz`)).status).toBe(200)
    },
  )
})
