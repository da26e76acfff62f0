import { type Cache, type Clock, OrchestratorClient } from 'acestream-orchestrator-client'
import { FakeOrchestrator, ManualClock } from 'acestream-orchestrator-client/testing'
import Keyv from 'keyv'
import { describe, expect, it, onTestFinished } from 'vitest'
import { EngineList } from '../../../src/engines/list/engine-list.ts'
import { ListCache } from '../../../src/engines/list/list-cache.ts'
import type { OrchestratorApi } from '../../../src/orchestrator/api.ts'
import type { ListedEngines } from '../../../src/orchestrator/listed-engines.ts'
import { MemoryCache } from '../../../src/runtime/cache.ts'
import { silentLogger } from '../../../src/runtime/logger.ts'
import { Outages } from '../../../src/runtime/outages.ts'
import { Sequence } from '../../../src/runtime/sequence.ts'
import { SteadyClock } from '../../../src/runtime/steady-clock.ts'
import { Emitter } from '../../../src/telemetry/events.ts'
import { Counters } from '../../../src/telemetry/metrics.ts'
import { endedLedger } from '../../support/ended-ledger.ts'
import { connect, setup } from '../../support/setup.ts'

const EMPTY: ListedEngines = { engines: [] }

/** An engine list whose requests are answered by the test, through `answers`. `written` collects what is written to the cache. */
function engineListAnsweredByTest() {
  const clock = new ManualClock()
  const sequence = new Sequence()
  const ended = endedLedger({ sequence })
  const answers: ((list: ListedEngines) => void)[] = []
  const listEngines = () => new Promise<ListedEngines>((resolve) => answers.push(resolve))
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
  const engineList = new EngineList({
    ...shared,
    cache: new ListCache({ ...shared, cache, key: 'list', ttlMs: 32_000 }),
    api: { listEngines } as unknown as OrchestratorApi,
    endedIds: ended,
    counters: new Counters(),
    emitter: new Emitter(silentLogger),
    retry: { attempts: 1, baseDelayMs: 0, maxDelayMs: 0 },
    random: () => 0,
    cacheTtlMs: 2_000,
    staleIfErrorMs: 30_000,
    refreshWaitMs: 300,
  })
  return { engineList, sequence, ended, answers, written }
}

describe('two list requests that are under way at once', () => {
  it('the older one is not written to the cache when the newer one was answered first', async () => {
    const { engineList, sequence, answers, written } = engineListAnsweredByTest()
    const slow = engineList.get()
    const fast = engineList.get({ newerThan: sequence.current })
    answers[1]?.(EMPTY)
    await fast
    answers[0]?.(EMPTY)
    await slow
    expect(written).toHaveLength(1)
  })

  it('a new caller shares the newer one when the older one was answered first', async () => {
    const { engineList, sequence, answers } = engineListAnsweredByTest()
    const older = engineList.get()
    const younger = engineList.get({ newerThan: sequence.current })
    answers[0]?.(EMPTY)
    await older
    const joined = engineList.get()
    expect(answers).toHaveLength(2)
    answers[1]?.(EMPTY)
    expect(await joined).toBe(await younger)
  })

  it('callers that want a fresh list during a request share the next one, which is sent after all of their calls', async () => {
    const { engineList, answers } = engineListAnsweredByTest()
    const first = engineList.get()
    const fresh = [engineList.get({ fresh: true }), engineList.get({ fresh: true })]
    await Promise.resolve()
    fresh.push(engineList.get({ fresh: true }))
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
    const { engineList, answers } = engineListAnsweredByTest()
    const lists = Promise.all(Array.from({ length: 100 }, () => engineList.get({ fresh: true })))
    await Promise.resolve()
    expect(answers).toHaveLength(1)
    answers[0]?.(EMPTY)
    expect(new Set(await lists).size).toBe(1)
  })

  it('a list that is new enough for a caller is not requested again', async () => {
    const { engineList, sequence, answers } = engineListAnsweredByTest()
    const before = sequence.current
    const first = engineList.get()
    answers[0]?.(EMPTY)
    const list = await first
    expect(await engineList.get({ newerThan: before })).toBe(list)
    expect(answers).toHaveLength(1)
  })

  it('[I7] the id of an ended stream is forgotten with the first list that was requested after the end was acknowledged', async () => {
    const { engineList, ended, answers } = engineListAnsweredByTest()
    ended.markEnded('acknowledged')
    ended.markOver('under way')
    expect(ended.isOver('acknowledged', 0)).toBe(true)
    const list = engineList.get()
    answers[0]?.(EMPTY)
    await list
    expect(ended.isOver('acknowledged', 0)).toBe(false)
    expect(ended.isOver('under way', Number.MAX_SAFE_INTEGER)).toBe(true)
  })
})

describe('an asynchronous cache', () => {
  it('[I2] is read once for 1,000 concurrent callers, and one list is requested', async () => {
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

  it('stores a list for cacheTtlMs plus staleIfErrorMs', async () => {
    const ttls: unknown[] = []
    const cache: Cache = { get: async () => undefined, set: async (_, __, ttlMs) => ttls.push(ttlMs), delete: async () => true }
    const { client } = setup({}, { cache, cacheTtlMs: 2_000, staleIfErrorMs: 30_000 })
    await client.listEngines()
    expect(ttls).toEqual([32_000])
  })
})

describe('a list that another client wrote to the cache', () => {
  it('is replaced by a list that this client requests later, though the other client requested 50', async () => {
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

  it('is not used any more after this client requested a list itself', async () => {
    const written = new Keyv()
    const { client, fake, clock } = setup({ engines: 1 }, { cache: written, dialect: 'unversioned', cacheTtlMs: 60_000 })
    await client.listEngines()
    const cache: Cache = { get: (key) => written.get(key), set: () => {}, delete: () => {} }
    const other = connect(fake, clock, { cache, dialect: 'unversioned', cacheTtlMs: 60_000 })
    expect(await other.listEngines()).toHaveLength(1)
    fake.addEngine()
    expect(await other.listEngines({ fresh: true })).toHaveLength(2)
    expect(await other.listEngines()).toHaveLength(2)
    expect(await other.listEngines()).toHaveLength(2)
  })
})

describe('a host clock that has only now()', () => {
  it('keeps no list fresh for longer than cacheTtlMs when it is set back by an hour', async () => {
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
