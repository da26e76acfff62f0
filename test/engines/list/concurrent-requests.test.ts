import { type Cache, type Clock, OrchestratorClient } from 'acestream-orchestrator-client'
import { FakeOrchestrator, ManualClock } from 'acestream-orchestrator-client/testing'
import Keyv from 'keyv'
import { describe, expect, it, onTestFinished } from 'vitest'
import { EngineListReader } from '../../../src/engines/list/engine-list.ts'
import { ListCache } from '../../../src/engines/list/list-cache.ts'
import type { OrchestratorApi } from '../../../src/orchestrator/api.ts'
import type { EngineList } from '../../../src/orchestrator/listed-engines.ts'
import { MemoryCache } from '../../../src/runtime/cache.ts'
import { silentLogger } from '../../../src/runtime/logger.ts'
import { Outages } from '../../../src/runtime/outages.ts'
import { Sequence } from '../../../src/runtime/sequence.ts'
import { SteadyClock } from '../../../src/runtime/steady-clock.ts'
import { EndedHere } from '../../../src/state/ended-here.ts'
import { Emitter } from '../../../src/telemetry/emitter.ts'
import { Counters } from '../../../src/telemetry/metrics.ts'
import { connect, setup } from '../../support/setup.ts'

const EMPTY: EngineList = { engines: [] }

/** A directory whose requests are answered by hand. */
function byHand() {
  const clock = new ManualClock()
  const sequence = new Sequence()
  const endedHere = new EndedHere(sequence, 10)
  const answers: ((list: EngineList) => void)[] = []
  const listEngines = () => new Promise<EngineList>((resolve) => answers.push(resolve))
  const shared = {
    clock: SteadyClock.of(clock),
    sequence,
    logger: silentLogger,
    outages: new Outages({ logger: silentLogger, clock }),
    lifetime: new AbortController().signal,
  }
  const memory = new MemoryCache(clock)
  const written: unknown[] = []
  const cache: Cache = {
    get: (key) => memory.get(key),
    set: (key, value, ttlMs) => {
      written.push(value)
      memory.set(key, value, ttlMs)
    },
    delete: (key) => memory.delete(key),
  }
  const directory = new EngineListReader({
    ...shared,
    cache: new ListCache({ ...shared, cache, key: 'list', ttlMs: 32_000 }),
    api: { listEngines } as unknown as OrchestratorApi,
    endedHere,
    counters: new Counters(),
    emitter: new Emitter(silentLogger),
    retry: { attempts: 1, baseDelayMs: 0, maxDelayMs: 0 },
    random: () => 0,
    cacheTtlMs: 2_000,
    staleIfErrorMs: 30_000,
    refreshWaitMs: 300,
  })
  return { directory, sequence, endedHere, answers, written }
}

describe('two list requests at once', () => {
  it('the one that was overtaken is never written to the cache', async () => {
    const { directory, sequence, answers, written } = byHand()
    const slow = directory.get()
    const fast = directory.get({ newerThan: sequence.current })
    answers[1]?.(EMPTY)
    await fast
    answers[0]?.(EMPTY)
    await slow
    expect(written).toHaveLength(1)
  })

  it('when the older is answered first, newcomers join the younger', async () => {
    const { directory, sequence, answers } = byHand()
    const older = directory.get()
    const younger = directory.get({ newerThan: sequence.current })
    answers[0]?.(EMPTY)
    await older
    const joined = directory.get()
    expect(answers).toHaveLength(2)
    answers[1]?.(EMPTY)
    expect(await joined).toBe(await younger)
  })

  it('callers that want a fresh list while one is under way share the next request, made after all of their calls', async () => {
    const { directory, answers } = byHand()
    const first = directory.get()
    const fresh = [directory.get({ fresh: true }), directory.get({ fresh: true })]
    await Promise.resolve()
    fresh.push(directory.get({ fresh: true }))
    expect(answers).toHaveLength(1)
    answers[0]?.(EMPTY)
    const old = await first
    expect(answers).toHaveLength(2)
    answers[1]?.(EMPTY)
    const lists = await Promise.all(fresh)
    expect(new Set(lists).size).toBe(1)
    expect(lists[0]).not.toBe(old)
    expect(answers).toHaveLength(2)
  })

  it('callers that want a fresh list at the same moment share one request', async () => {
    const { directory, answers } = byHand()
    const lists = Promise.all(Array.from({ length: 100 }, () => directory.get({ fresh: true })))
    await Promise.resolve()
    expect(answers).toHaveLength(1)
    answers[0]?.(EMPTY)
    expect(new Set(await lists).size).toBe(1)
  })

  it('a list that is new enough already is not asked for again', async () => {
    const { directory, sequence, answers } = byHand()
    const before = sequence.current
    const first = directory.get()
    answers[0]?.(EMPTY)
    const list = await first
    expect(await directory.get({ newerThan: before })).toBe(list)
    expect(answers).toHaveLength(1)
  })

  it('[I7] ended ids are forgotten with the first list that was requested after their end', async () => {
    const { directory, endedHere, answers } = byHand()
    endedHere.end('acknowledged')
    endedHere.acknowledge('acknowledged')
    endedHere.end('under way')
    const list = directory.get()
    answers[0]?.(EMPTY)
    await list
    expect(endedHere.size).toBe(1)
    expect(endedHere.isOver('under way', Number.MAX_SAFE_INTEGER)).toBe(true)
  })
})

describe('a cache that answers later', () => {
  it('[I2] is looked into once for 1,000 callers at once, and one list is asked for', async () => {
    const keyv = new Keyv()
    let reads = 0
    const cache: Cache = {
      get: (key) => {
        reads += 1
        return keyv.get(key)
      },
      set: (key, value, ttlMs) => keyv.set(key, value, ttlMs),
      delete: (key) => keyv.delete(key),
    }
    const { client, fake } = setup({ engines: 1 }, { cache, dialect: 'unversioned' })
    await Promise.all(Array.from({ length: 1_000 }, () => client.listEngines()))
    expect([reads, fake.counters.requests.byRoute['GET /engines']]).toEqual([1, 1])
    await Promise.all(Array.from({ length: 1_000 }, () => client.listEngines()))
    expect([reads, fake.counters.requests.byRoute['GET /engines']]).toEqual([2, 1])
  })

  it('is told how long a list may be of use: fresh, and then stale', async () => {
    const ttls: unknown[] = []
    const cache: Cache = { get: async () => undefined, set: async (_, __, ttlMs) => ttls.push(ttlMs), delete: async () => true }
    const { client } = setup({}, { cache, cacheTtlMs: 2_000, staleIfErrorMs: 30_000 })
    await client.listEngines()
    expect(ttls).toEqual([32_000])
  })
})

describe('a list that another client left in the cache', () => {
  it('gives way to a newer one of our own, however many the other has asked for', async () => {
    const cache = new Keyv()
    const { client, fake, clock } = setup({ engines: 1 }, { cache, dialect: 'unversioned' })
    for (let i = 0; i < 50; i += 1) await client.listEngines({ fresh: true })
    const other = connect(fake, clock, { cache, dialect: 'unversioned' })
    expect(await other.listEngines()).toHaveLength(1)
    expect(other.metrics().engineCache).toMatchObject({ hits: 1, misses: 0 })
    fake.addEngine()
    await clock.advance(2_000)
    expect(await other.listEngines()).toHaveLength(2)
  })

  it('is not taken for new again after one of our own', async () => {
    const left = new Keyv()
    const { client, fake, clock } = setup({ engines: 1 }, { cache: left, dialect: 'unversioned', cacheTtlMs: 60_000 })
    await client.listEngines()
    const cache: Cache = { get: (key) => left.get(key), set: () => {}, delete: () => {} }
    const other = connect(fake, clock, { cache, dialect: 'unversioned', cacheTtlMs: 60_000 })
    expect(await other.listEngines()).toHaveLength(1)
    fake.addEngine()
    expect(await other.listEngines({ fresh: true })).toHaveLength(2)
    expect(await other.listEngines()).toHaveLength(2)
    expect(await other.listEngines()).toHaveLength(2)
  })
})

describe('a host clock that has only now()', () => {
  it('makes no list fresh for longer than cacheTtlMs when it is set back by an hour', async () => {
    const manual = new ManualClock()
    const clock: Clock = { now: () => manual.now(), setTimeout: (callback, delayMs) => manual.setTimeout(callback, delayMs) }
    const fake = new FakeOrchestrator({ clock: manual, engines: 1 })
    const client = new OrchestratorClient({ baseUrl: 'http://orchestrator.test', clock, transport: fake, dialect: 'unversioned' })
    onTestFinished(async () => void (await client.close()))
    await client.listEngines()
    manual.stepWallClock(-3_600_000)
    await client.listEngines()
    await manual.advance(1_999)
    await client.listEngines()
    expect(fake.counters.requests.byRoute['GET /engines']).toBe(1)
    await manual.advance(1)
    await client.listEngines()
    expect(fake.counters.requests.byRoute['GET /engines']).toBe(2)
  })
})
