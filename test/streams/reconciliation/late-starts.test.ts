import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { during, playback, setup } from '../../support/setup.ts'

const START = 'POST /events/stream_started'
const END = 'POST /events/stream_ended'

describe.each(GENERATIONS)('after %s applied starts late', (generation) => {
  const COUNT = 10
  /** Starts ten streams, whose requests time out, and ends them. The orchestrator applies the starts `lateMs` after the ends. */
  const startLate = async (lateMs: number, reconcileIntervalMs = 30_000) => {
    const dialect = generation === 'v1' ? 'v1' : 'unversioned'
    const made = setup({ generation, engines: COUNT }, { reconcileIntervalMs, dialect, circuitBreaker: false, watch: false })
    const { client, fake, clock } = made
    await client.listEngines()
    const starts = fake.inject({ kind: 'delay', delayMs: 3_500 + lateMs, applyLate: true, route: START, times: COUNT })
    const streams = await during(
      clock,
      Promise.all(
        Array.from({ length: COUNT }, async (_, index) => {
          const lease = await client.acquireEngine()
          return lease.startStream({ ...playback(`${index}`.repeat(40)), streamId: `${index}` })
        }),
      ),
      500,
    )
    expect([starts.hits, streams.every(({ state }) => state === 'announcing')]).toEqual([COUNT, true])
    const ended = await during(clock, Promise.all(streams.map((stream) => stream.end())), 500)
    expect(ended.every(({ outcome }) => outcome === (generation === 'v1' ? 'delivered' : 'unknown'))).toBe(true)
    const listReads = () => fake.counters.requests.byRoute['GET /streams'] ?? 0
    return { ...made, listReads }
  }

  it('the late starts are ended within 10 s by one reconciliation, and all slots are free', async () => {
    const { client, fake, clock, listReads } = await startLate(1_000)
    await clock.advance(2_000)
    expect(fake.liveStreamIds()).toHaveLength(COUNT)
    const before = listReads()
    await clock.advance(10_000)
    expect([fake.liveStreamIds(), listReads() - before]).toEqual([[], 1])
    expect(fake.counters.requests.byRoute[END]).toBe(2 * COUNT)
    for (let i = 0; i < COUNT; i += 1) await during(clock, client.acquireEngine({ waitMs: 0 }))
  })

  it('the client does not reconcile if reconcileIntervalMs is 0', async () => {
    const { clock, listReads } = await startLate(1_000, 0)
    const before = listReads()
    await clock.advance(60_000)
    expect(listReads()).toBe(before)
  })

  it('close() cancels the timer of the reconciliation', async () => {
    const { client, clock } = await startLate(60_000)
    await during(clock, client.close())
    expect(clock.pendingCount).toBeLessThanOrEqual(COUNT) // timers of the fake, for starts that it has not applied yet
  })
})

it('the end of a stream whose start was acknowledged causes no reconciliation', async () => {
  const { client, fake, clock } = setup({ engines: 1 }, { reconcileIntervalMs: 30_000, dialect: 'unversioned' })
  const stream = await (await client.acquireEngine()).startStream(playback())
  await stream.end()
  await clock.advance(15_000)
  expect(fake.counters.requests.byRoute['GET /streams']).toBeUndefined()
})
