import type { Cache } from 'acestream-orchestrator-client'
import Keyv from 'keyv'
import { describe, expect, it } from 'vitest'
import { connect, setup } from '../../support/setup.ts'

const boom = (): never => {
  throw new Error('store failed')
}

describe('lists in a shared cache', () => {
  it('[I2] three concurrent calls, one of them with fresh: true, cause one request when an asynchronous cache is empty', async () => {
    const { client, fake } = setup({ engines: 1, latencyMs: 0 }, { cache: new Keyv(), dialect: 'unversioned' })
    await Promise.all([client.listEngines(), client.listEngines({ fresh: true }), client.listEngines()])
    expect(fake.counters.requests.byRoute['GET /engines']).toBe(1)
  })

  it('an older list of another client does not replace a newer list of this client', async () => {
    const cache = new Keyv()
    const { client, fake, clock } = setup({ engines: 1 }, { cache, dialect: 'unversioned', cacheTtlMs: 10_000 })
    await client.listEngines() // t=0, in cache
    await clock.advance(1_000)
    const added = fake.addEngine()
    const broken: Cache = { get: (k) => cache.get(k), set: async () => boom(), delete: () => {} }
    const other = connect(fake, clock, { cache: broken, dialect: 'unversioned', cacheTtlMs: 10_000 })
    expect((await other.listEngines({ fresh: true })).map((e) => e.containerId)).toContain(added)
    expect((await other.listEngines()).map((e) => e.containerId)).toContain(added)
  })

  it('a list of another process is not used while its time is in the future, and its age does not change when the wall clock here steps', async () => {
    const stored = new Map<string, string>()
    const cache: Cache = {
      get: (key) => JSON.parse(stored.get(key) ?? 'null'),
      set: (key, value) => void stored.set(key, JSON.stringify(value)),
      delete: (key) => stored.delete(key),
    }
    const { client, fake, clock } = setup({ engines: 1 }, { cache, dialect: 'unversioned', cacheTtlMs: 10_000 })
    const requestCount = () => fake.counters.requests.byRoute['GET /engines']
    await client.listEngines()
    clock.stepWallClock(-1)
    const behind = connect(fake, clock, { cache: { ...cache, set: () => {} }, dialect: 'unversioned', cacheTtlMs: 10_000 })
    await behind.listEngines()
    expect(requestCount()).toBe(2)
    clock.stepWallClock(1)
    const other = connect(fake, clock, { cache: { ...cache, set: () => {} }, dialect: 'unversioned', cacheTtlMs: 10_000 })
    await clock.advance(4_000)
    await other.listEngines()
    clock.stepWallClock(3_600_000)
    await clock.advance(5_999)
    await other.listEngines()
    expect(requestCount()).toBe(2)
    await clock.advance(1)
    await other.listEngines()
    expect(requestCount()).toBe(3)
  })
})
