import type { OrchestratorClient } from 'acestream-orchestrator-client'
import type { Generation, ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { failureOf, playback, setup } from '../support/setup.ts'

const HOUR_MS = 3_600_000
const forEver = { times: Number.POSITIVE_INFINITY }

type Begin = (client: OrchestratorClient, clock: ManualClock) => Promise<unknown>

/** Acquires an engine every second, so that the client keeps v1's event stream open. */
const acquireEverySecond: Begin = async (client, clock) => {
  clock.setTimeout(() => void acquireEverySecond(client, clock), 1_000)
  await (await client.acquireEngine()).release()
}

/** Every request that the client repeats after Retry-After, and the call that causes it. */
const WAITING: readonly (readonly [name: string, generation: Generation, route: string, begin: Begin])[] = [
  ['a start', '2026-04', 'POST /events/stream_started', async (client) => (await client.acquireEngine()).startStream(playback())],
  [
    'an end',
    '2026-04',
    'POST /events/stream_ended',
    async (client) => (await (await client.acquireEngine()).startStream(playback())).end(),
  ],
  ['a list of engines', '2026-04', 'GET /engines', (client) => client.listEngines()],
  ['a list of streams', '2026-04', 'GET /streams', (client) => client.listStreams()],
  ['the health', '2026-04', 'GET /orchestrator/status', (client) => client.checkHealth()],
  ['a request for an engine', '2026-04', 'POST /provision/acestream', (client) => client.acquireEngine({ waitMs: 600_000 })],
  ["v1's event stream", 'v1', 'GET /events/stream', acquireEverySecond],
]

/** The first asks for 32 years. The second names a time 2 h ahead and sends no Date header. The third asks for 2 h by its own Date header. */
const LONG_WAITS: readonly (readonly [value: string, date: string])[] = [
  ['1000000000', 'Thu, 01 Jan 2026 00:00:00 GMT'],
  ['Thu, 01 Jan 2026 02:00:00 GMT', ''],
  ['Thu, 01 Jan 2026 04:00:00 GMT', 'Thu, 01 Jan 2026 02:00:00 GMT'],
]

describe.each(LONG_WAITS)('Retry-After: %s with Date: %s', (value, date) => {
  it.each(WAITING)('delays %s by 60 s and no longer', async (_, generation, route, begin) => {
    const engines = route === 'POST /provision/acestream' ? 0 : 1
    // A read is retried within its call only if the wait is at most `maxDelayMs`.
    const { client, fake, clock } = setup({ generation, engines }, { circuitBreaker: false, retry: { maxDelayMs: 60_000 } })
    fake.inject({ route, kind: 'status', status: 503, headers: { 'Retry-After': value, date }, ...forEver })
    const from = clock.now()
    const at: number[] = []
    begin(client, clock).catch(() => {})
    for (let seen = 0; at.length < 3 && clock.now() - from < 200_000; await clock.advance(100)) {
      await clock.settle()
      const count = fake.counters.requests.byRoute[route] ?? 0
      if (count > seen) at.push(clock.now() - from)
      seen = count
    }
    expect(at).toHaveLength(3)
    for (const [index, time] of at.slice(1).entries()) {
      const waitedMs = time - (at[index] ?? 0)
      expect(waitedMs).toBeGreaterThanOrEqual(59_900)
      // Callers in the wait queue check every 500 ms whether an engine is available.
      expect(waitedMs).toBeLessThanOrEqual(60_600)
    }
  })
})

it.each([-HOUR_MS, HOUR_MS])(
  'a date in Retry-After is counted from the Date of the same answer, with the local clock off by %i ms',
  async (deltaMs) => {
    const { client, fake, clock } = setup({ engines: 1 })
    const headers = { 'Retry-After': 'Sun, 06 Nov 1994 08:49:49 GMT', date: 'Sun, 06 Nov 1994 08:49:37 GMT' }
    fake.inject({ route: 'POST /events/stream_started', kind: 'status', headers })
    clock.stepWallClock(deltaMs)
    const lease = await client.acquireEngine()
    expect((await lease.startStream(playback())).state).toBe('announcing')
    await clock.advance(11_900)
    expect(fake.liveStreamIds()).toHaveLength(0)
    await clock.advance(200)
    expect(fake.liveStreamIds()).toHaveLength(1)
  },
)

it('the retryAfterMs of an error is the whole wait that the server asked for', async () => {
  const { client, fake } = setup({ engines: 1 }, { retry: { attempts: 1 } })
  fake.inject({ route: 'GET /engines', kind: 'status', headers: { 'Retry-After': '1000000000' } })
  expect(await failureOf(client.listEngines())).toMatchObject({ code: 'RESPONSE', retryAfterMs: 1e12 })
})
