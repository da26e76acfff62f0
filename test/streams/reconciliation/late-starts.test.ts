import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { during, playback, setup } from '../../support/setup.ts'

const START = 'POST /events/stream_started'
const END = 'POST /events/stream_ended'

describe.each(GENERATIONS)('after %s stalled and went on', (generation) => {
  const COUNT = 10
  /** Ten viewers whose starts time out, and who leave; the orchestrator applies their starts `lateMs` after their ends. */
  const stall = async (lateMs: number, reconcileIntervalMs = 30_000) => {
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
    const looks = () => fake.counters.requests.byRoute['GET /streams'] ?? 0
    return { ...made, looks }
  }

  it('the starts that it applied late are ended within ten seconds, by one comparison', async () => {
    const { client, fake, clock, looks } = await stall(1_000)
    await clock.advance(2_000)
    expect(fake.liveStreamIds()).toHaveLength(COUNT)
    const before = looks()
    await clock.advance(10_000)
    expect([fake.liveStreamIds(), looks() - before]).toEqual([[], 1])
    expect(fake.counters.requests.byRoute[END]).toBe(2 * COUNT)
    for (let i = 0; i < COUNT; i += 1) await during(clock, client.acquireEngine({ waitMs: 0 }))
  })

  it('nothing is compared where that is off', async () => {
    const { clock, looks } = await stall(1_000, 0)
    const before = looks()
    await clock.advance(60_000)
    expect(looks()).toBe(before)
  })

  it('closing leaves no timer of that comparison', async () => {
    const { client, clock } = await stall(60_000)
    await during(clock, client.close())
    expect(clock.pendingCount).toBeLessThanOrEqual(COUNT) // the starts that the orchestrator has yet to apply
  })
})

it('an end whose start had a known outcome makes no further comparison', async () => {
  const { client, fake, clock } = setup({ engines: 1 }, { reconcileIntervalMs: 30_000, dialect: 'unversioned' })
  const stream = await (await client.acquireEngine()).startStream(playback())
  await stream.end()
  await clock.advance(15_000)
  expect(fake.counters.requests.byRoute['GET /streams']).toBeUndefined()
})
