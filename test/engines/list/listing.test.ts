import { ConnectionError } from 'acestream-orchestrator-client'
import { GENERATIONS, ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { during, failureOf, setup } from '../../support/setup.ts'

const lists = (byRoute: Record<string, number>) => ({ engines: byRoute['GET /engines'] ?? 0, streams: byRoute['GET /streams'] ?? 0 })

describe.each(GENERATIONS)('listEngines() on %s', (generation) => {
  const dialect = generation === 'v1' ? 'v1' : 'unversioned'
  const refreshes = (n: number) => ({ engines: n, streams: generation === 'v1' ? n : 0 })

  it('[I2] 1,000 concurrent first calls cause exactly one refresh', async () => {
    const { client, fake } = setup({ generation }, { dialect })
    const found = await Promise.all(Array.from({ length: 1_000 }, () => client.listEngines()))
    expect(lists(fake.counters.requests.byRoute)).toEqual(refreshes(1))
    expect(found.every((engines) => engines.length === 3)).toBe(true)
  })

  it('[I2] 1,000 concurrent calls cause no request while the list is fresh, and one refresh when it has expired', async () => {
    const { client, fake, clock } = setup({ generation }, { dialect, cacheTtlMs: 2_000 })
    await client.listEngines()
    await clock.advance(1_999)
    await Promise.all(Array.from({ length: 1_000 }, () => client.listEngines()))
    expect(lists(fake.counters.requests.byRoute)).toEqual(refreshes(1))
    await clock.advance(1)
    await Promise.all(Array.from({ length: 1_000 }, () => client.listEngines()))
    expect(lists(fake.counters.requests.byRoute)).toEqual(refreshes(2))
  })

  it('[I2] calls that come during a refresh share its answer', async () => {
    const { client, fake, clock } = setup({ generation, latencyMs: 100 }, { dialect })
    const calls = [client.listEngines()]
    for (let i = 0; i < 9; i += 1) {
      await clock.advance(10)
      calls.push(client.listEngines(), client.listEngines())
    }
    await clock.advance(100)
    await Promise.all(calls)
    expect(lists(fake.counters.requests.byRoute)).toEqual(refreshes(1))
    expect(client.metrics().engineCache).toMatchObject({ misses: 1, coalesced: 18 })
  })

  it('nine calls with fresh: true during a refresh cause one more refresh, which shows an engine that was added before them', async () => {
    const { client, fake, clock } = setup({ generation, latencyMs: 100 }, { dialect })
    const first = client.listEngines()
    await clock.advance(60) // read by the orchestrator, not answered yet
    const added = fake.addEngine()
    const fresh = Array.from({ length: 9 }, () => client.listEngines({ fresh: true }))
    await clock.advance(40)
    expect((await first).map(({ containerId }) => containerId)).not.toContain(added)
    await clock.advance(100)
    for (const engines of await Promise.all(fresh)) expect(engines.map(({ containerId }) => containerId)).toContain(added)
    expect(lists(fake.counters.requests.byRoute)).toEqual(refreshes(2))
    expect(client.metrics().engineCache).toMatchObject({ misses: 2, coalesced: 8 })
  })

  it('each of 1,000 calls reads the clock once while the list is fresh', async () => {
    let readings = 0
    class CountingClock extends ManualClock {
      override monotonic(): number {
        readings += 1
        return super.monotonic()
      }
    }
    const { client } = setup({ generation }, { dialect, clock: new CountingClock() })
    await client.listEngines()
    readings = 0
    for (let i = 0; i < 1_000; i += 1) await client.listEngines()
    expect(readings).toBe(1_000)
    expect(client.metrics().engineCache).toMatchObject({ hits: 1_000, misses: 1 })
  })

  it('a call with fresh: true never gets an old list: while the orchestrator cannot be reached, it rejects after its last attempt', async () => {
    const { client, fake, clock } = setup({ generation }, { dialect, circuitBreaker: false })
    await client.listEngines()
    fake.inject({ kind: 'refused', times: Number.POSITIVE_INFINITY })
    await clock.advance(2_000)
    const before = fake.counters.requests.byRoute['GET /engines'] ?? 0
    const fresh = failureOf(client.listEngines({ fresh: true }))
    const old = client.listEngines()
    await clock.settle()
    expect(await old).toHaveLength(3) // at once: it gets the old list instead of another attempt
    expect(await during(clock, fresh)).toBeInstanceOf(ConnectionError)
    expect((fake.counters.requests.byRoute['GET /engines'] ?? 0) - before).toBe(5)
  })

  it('a call with fresh: true retries when the list request fails', async () => {
    const { client, fake, clock } = setup({ generation }, { dialect })
    await client.listEngines()
    const added = fake.addEngine()
    fake.inject({ kind: 'refused', route: 'GET /engines', times: 2 })
    const fresh = await during(clock, client.listEngines({ fresh: true }))
    expect(fresh.map(({ containerId }) => containerId)).toContain(added)
  })

  it('a client finds out the dialect once, with one request', async () => {
    const { client, fake, clock } = setup({ generation })
    await Promise.all(Array.from({ length: 100 }, () => client.listEngines()))
    await clock.advance(10_000)
    await client.listEngines()
    expect(fake.counters.requests.total).toBe(1 + 2 * (generation === 'v1' ? 2 : 1))
  })

  it('[I2] 1,000 concurrent first calls find out the dialect once and cause one refresh', async () => {
    const { client, fake } = setup({ generation })
    await Promise.all(Array.from({ length: 1_000 }, () => client.listEngines()))
    expect(fake.counters.requests.total).toBe(1 + (generation === 'v1' ? 2 : 1))
  })

  it('a refresh shows the streams of each engine', async () => {
    const { client, fake } = setup({ generation, engines: 2 })
    const [first, second] = fake.engines.map((engine) => engine.containerId)
    fake.startElsewhere({ containerId: first ?? '', streamId: 'theirs-1' })
    fake.startElsewhere({ containerId: first ?? '', streamId: 'theirs-2' })
    const engines = await client.listEngines()
    const streamsOf = (containerId: string | undefined) => engines.find((engine) => engine.containerId === containerId)?.streamIds
    expect(streamsOf(first)?.toSorted()).toEqual(['theirs-1', 'theirs-2'])
    expect(streamsOf(second)).toEqual([])
  })

  it('the last list is served while the orchestrator cannot be reached, until staleIfErrorMs after cacheTtlMs', async () => {
    const { client, fake, clock } = setup({ generation }, { dialect, cacheTtlMs: 2_000, staleIfErrorMs: 30_000 })
    const engines = await client.listEngines()
    fake.inject({ kind: 'refused', times: Number.POSITIVE_INFINITY })
    await clock.advance(31_999)
    expect(await client.listEngines()).toBe(engines)
    expect(client.metrics().engineCache.stale).toBe(1)
    await clock.advance(1)
    expect(await during(clock, failureOf(client.listEngines()))).toBeInstanceOf(ConnectionError)
  })

  it('an answer that cannot be read does not replace the last list', async () => {
    const { client, fake, clock } = setup({ generation }, { dialect })
    const engines = await client.listEngines()
    for (const kind of ['garbage', 'truncated', 'html', 'empty'] as const) {
      const fault = fake.inject({ kind, times: Number.POSITIVE_INFINITY })
      await clock.advance(2_000)
      expect(await client.listEngines()).toBe(engines)
      fault.remove()
    }
  })
})

describe('listEngines()', () => {
  it('the abort of one caller ends the wait of no other caller', async () => {
    const { client, fake, clock } = setup({ latencyMs: 100 })
    const abort = new AbortController()
    const mine = failureOf(client.listEngines({ signal: abort.signal }))
    const theirs = client.listEngines()
    await clock.advance(10)
    const reason = new Error('viewer left')
    abort.abort(reason)
    expect(await mine).toBe(reason)
    await clock.advance(300)
    expect(await theirs).toHaveLength(3)
    expect(fake.counters.requests.total).toBe(2) // one of them found out the dialect
  })

  it('a call with an aborted signal sends no request', async () => {
    const { client, fake } = setup()
    expect(await failureOf(client.listEngines({ signal: AbortSignal.abort('gone') }))).toBe('gone')
    expect(fake.counters.requests.total).toBe(0)
  })

  it('a caller cannot change the list that other callers get', async () => {
    const { client } = setup()
    const mine = await client.listEngines()
    const [engine] = mine
    expect(() => (mine as unknown[]).push(1)).toThrow(TypeError)
    expect(() => Object.assign(engine as object, { host: 'evil' })).toThrow(TypeError)
    expect(() => Object.assign(engine?.labels as object, { evil: 'yes' })).toThrow(TypeError)
    expect(() => (engine?.streamIds as string[] | undefined)?.push('x')).toThrow(TypeError)
    const seen = engine?.firstSeen?.getTime()
    engine?.firstSeen?.setTime(0)
    expect((await client.listEngines())[0]?.firstSeen?.getTime()).toBe(seen)
    expect(seen).toBeGreaterThan(0)
  })

  it('an authentication error rejects the call and is not hidden by an old list', async () => {
    const { client, fake, clock } = setup({}, { dialect: 'unversioned' })
    await client.listEngines()
    fake.inject({ kind: 'status', status: 401, times: 1 })
    await clock.advance(2_000)
    expect(await failureOf(client.listEngines())).toMatchObject({ code: 'AUTHENTICATION', status: 401 })
  })

  it('each call requests a list when cacheTtlMs is 0', async () => {
    const { client, fake } = setup({}, { dialect: 'unversioned', cacheTtlMs: 0 })
    await client.listEngines()
    await client.listEngines()
    expect(fake.counters.requests.byRoute['GET /engines']).toBe(2)
  })
})
