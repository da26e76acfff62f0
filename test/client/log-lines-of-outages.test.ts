import { describe, expect, it } from 'vitest'
import { MemoryCache } from '../../src/runtime/cache.ts'
import { Outages } from '../../src/runtime/outages.ts'
import { MemoryStore } from '../../src/state/memory.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { during, playback, setup } from '../support/setup.ts'

const EVERY_TIME = { times: Number.POSITIVE_INFINITY } as const
const START = 'POST /events/stream_started'
const END = 'POST /events/stream_ended'

/** How often each line was logged, the lines at the end of an outage included. */
function countOf(lines: RecordingLogger): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const line of lines.logged) counts[line] = (counts[line] ?? 0) + 1
  return counts
}

describe('the log of a client with many viewers', () => {
  const world = (options: Parameters<typeof setup>[1] = {}, fakeOptions: Parameters<typeof setup>[0] = { engines: 200 }) => {
    const logger = new RecordingLogger()
    return { logger, ...setup(fakeOptions, { logger, circuitBreaker: false, retry: { attempts: 1 }, ...options }) }
  }

  it('an outage of the engine list is logged once when it begins and once when it ends, while an old list is served', async () => {
    const { client, clock, fake, logger } = world()
    await client.listEngines()
    await clock.advance(3_000)
    const fault = fake.inject({ kind: 'status', status: 500, route: 'GET /engines', ...EVERY_TIME })
    for (let viewer = 0; viewer < 100; viewer += 1) await client.listEngines()
    fault.remove()
    await clock.advance(2_000)
    await client.listEngines()
    expect(countOf(logger)).toEqual({
      'warn | The engine list could not be refreshed; serving the last one': 1,
      'info | Reading the engine list works again': 1,
    })
    expect(logger.all.at(-1)?.fields).toEqual({ failureCount: 100, durationMs: 2_000 })
  })

  it('an outage of the engine list is logged once when it begins and once when it ends, while there is no old list to serve', async () => {
    const { client, fake, logger } = world()
    const fault = fake.inject({ kind: 'refused', route: ['GET /engines'], ...EVERY_TIME })
    for (let viewer = 0; viewer < 20; viewer += 1) await client.listEngines().catch(() => {})
    fault.remove()
    await client.listEngines()
    expect(countOf(logger)).toEqual({
      'warn | The engine list could not be read. To find out why: npx acestream-orchestrator-client doctor': 1,
      'info | Reading the engine list works again': 1,
    })
  })

  it('a 404 in answer to the engine list, which does not pass by itself, is logged once, as an error with its URL', async () => {
    const { client, fake, logger } = world()
    await client.listStreams()
    fake.inject({ kind: 'status', status: 404, route: ['GET /engines'], ...EVERY_TIME })
    for (let viewer = 0; viewer < 20; viewer += 1) await client.listEngines().catch(() => {})
    expect(countOf(logger)).toEqual({
      'error | The engine list could not be read. To find out why: npx acestream-orchestrator-client doctor': 1,
    })
    expect(logger.all.find(({ level }) => level === 'error')?.fields).toMatchObject({
      error: { message: expect.stringContaining('http://orchestrator.test/'), status: 404 },
    })
  })

  it('a login page in place of the engine list is logged once', async () => {
    const { client, fake, logger } = world()
    fake.inject({ kind: 'status', status: 200, body: '<html></html>', ...EVERY_TIME })
    for (let viewer = 0; viewer < 20; viewer += 1) await client.acquireEngine({ waitMs: 0 }).catch(() => {})
    expect(countOf(logger)).toEqual({
      'warn | The engine list could not be read. To find out why: npx acestream-orchestrator-client doctor': 1,
    })
    expect(client.metrics().requests.failed).toBeGreaterThan(0)
  })

  it('an outage of stream events is logged once when it begins and once when it ends', async () => {
    const { client, clock, fake, logger } = world()
    const streams = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => (await client.acquireEngine()).startStream(playback(`${index}`.padStart(40, '0')))),
    )
    const fault = fake.inject({ kind: 'refused', route: [START, END], ...EVERY_TIME })
    const ended = Promise.all(streams.map((stream) => stream.end()))
    await clock.advance(20_000)
    fault.remove()
    await during(clock, ended)
    const counts = countOf(logger)
    expect(counts['warn | An event was not delivered; it stays queued and is sent again. Further failures are logged at debug level']).toBe(
      1,
    )
    expect(counts['info | Delivering stream events works again']).toBe(1)
  })

  it('an outage of stream events is logged once when it begins and once when it ends, though one event in between is delivered', async () => {
    const { client, clock, fake, logger } = world()
    const watch = async (index: number) => (await client.acquireEngine()).startStream(playback(`${index}`.padStart(40, '0')))
    const stream = await watch(0)
    const outage = fake.inject({ kind: 'refused', route: END, ...EVERY_TIME })
    const ended = stream.end()
    await clock.advance(5_000)
    expect((await watch(1)).state).toBe('live')
    await clock.advance(5_000)
    outage.remove()
    await during(clock, ended)
    expect(countOf(logger)).toEqual({
      'warn | An event was not delivered; it stays queued and is sent again. Further failures are logged at debug level': 1,
      'info | Delivering stream events works again': 1,
    })
  })

  it('an outage of a cache is logged once for its reads and once for its writes, when it begins and when it ends', async () => {
    let isDown = true
    const memory = new MemoryCache(new ManualClock())
    const work = <T>(run: () => T): T => {
      if (isDown) throw new Error('down')
      return run()
    }
    const cache = {
      get: (key: string) => work(() => memory.get(key)),
      set: (key: string, value: unknown) => work(() => void memory.set(key, value, 60_000)),
      delete: () => {},
    }
    const { client, clock, logger } = world({ cache, cacheTtlMs: 0 })
    for (let viewer = 0; viewer < 20; viewer += 1) {
      await client.listEngines()
      await clock.advance(100)
    }
    isDown = false
    await client.listEngines()
    expect(countOf(logger)).toEqual({
      'warn | The engine list could not be read from the cache; it is requested instead': 1,
      'warn | The engine list could not be written to the cache; other clients do not see it': 1,
      'info | Reading the cache works again': 1,
      'info | Writing the cache works again': 1,
    })
  })

  it('an outage of a store is logged once for each operation, when it begins and when it ends', async () => {
    const store = new MemoryStore()
    const { append, settle, claimEnd } = store
    const fail = (): never => {
      throw new Error('down')
    }
    Object.assign(store, { append: fail, settle: fail, claimEnd: fail })
    const { client, logger } = world({ store })
    const watch = async (index: number) => {
      const stream = await (await client.acquireEngine()).startStream(playback(`${index}`.padStart(40, '0')))
      await stream.end()
    }
    for (let viewer = 0; viewer < 20; viewer += 1) await watch(viewer)
    Object.assign(store, { append, settle, claimEnd })
    await watch(20)
    const counts = countOf(logger)
    expect(Object.keys(counts)).toHaveLength(6)
    expect(new Set(Object.values(counts))).toEqual(new Set([1]))
  })

  it('an orchestrator that starts no engine is logged once for each reason that it gives', async () => {
    const { client, clock, fake, logger } = world({}, { generation: '2025-10', engines: 0 })
    fake.setProvisioning({ refuse: 'vpn_disconnected', etaSeconds: 1 })
    const first = client.acquireEngine({ waitMs: 60_000 }).catch(() => {})
    await clock.advance(60_000)
    await first
    fake.setProvisioning({ refuse: 'circuit_breaker', etaSeconds: 1 })
    const second = client.acquireEngine({ waitMs: 60_000 }).catch(() => {})
    await clock.advance(60_000)
    await second
    expect(countOf(logger)['warn | No new engine could be started']).toBe(2)
  })
})

describe('an outage', () => {
  it('logs one line for each cause, one more when a warning becomes an error, and at most 20', () => {
    const logger = new RecordingLogger()
    const outages = new Outages({ logger, clock: new ManualClock() })
    for (let failure = 0; failure < 100; failure += 1) outages.failed('Work', 'fails', {}, { cause: `${failure}` })
    expect(logger.logged).toHaveLength(20)
    outages.works('Work')
    expect(logger.all.at(-1)).toEqual({ level: 'info', message: 'Work works again', fields: { failureCount: 100, durationMs: 0 } })
    outages.works('Work')
    expect(logger.logged).toHaveLength(21)
    for (const level of ['warn', 'warn', 'error', 'error', 'warn'] as const) outages.failed('Other', 'fails', {}, { level })
    expect(logger.logged.slice(21)).toEqual(['warn | fails', 'error | fails'])
  })
})
