import type { OrchestratorClient, OrchestratorClientOptions } from 'acestream-orchestrator-client'
import { GENERATIONS, type Generation } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { Fleet } from '../support/fleet.ts'
import { connect, during, playback, setup } from '../support/setup.ts'

const START = 'POST /events/stream_started'
const END = 'POST /events/stream_ended'
const STREAMS = 'GET /streams'
const FOR_EVER = { times: Number.POSITIVE_INFINITY }

/** Two proxies that use the same stream ids. */
function world(generation: Generation, options: Partial<OrchestratorClientOptions> = {}) {
  const made = setup({ generation, engines: 3 }, { reconcileIntervalMs: 30_000, ...options })
  const { client, fake, clock } = made
  const other = connect(fake, clock, { watch: false, circuitBreaker: false })
  const start = async (at: OrchestratorClient, session: string, streamId = 'channel') => {
    const lease = await during(clock, at.acquireEngine())
    return during(clock, lease.startStream({ ...playback(streamId.padStart(40, '0'), session), streamId }))
  }
  const requests = (route: string) => fake.counters.requests.byRoute[route] ?? 0
  return { ...made, client, other, start, requests }
}

describe.each(GENERATIONS)('[I4] an end that is delayed on %s', (generation) => {
  it.each([
    ['refused connections', { kind: 'refused', ...FOR_EVER }],
    ['answers of 503', { kind: 'status', status: 503, route: END, ...FOR_EVER }],
  ] as const)('does not end the next stream with its id at another proxy (delayed by %s)', async (_, fault) => {
    const { client, other, fake, clock, start } = world(generation)
    await during(clock, other.listEngines())
    const first = await start(client, 'session 1')
    const outage = fake.inject(fault)
    const ended = first.end()
    await clock.advance(60_000)
    outage.remove()
    const second = await start(other, 'session 2')
    await clock.advance(60_000)
    expect(await during(clock, ended)).toMatchObject({ outcome: 'delivered' })
    expect([second.state, fake.liveStreamIds()]).toEqual(['live', ['channel']])
  })

  it('still ends its own stream, and 30 such ends read the stream list 3 times at most', async () => {
    const { client, fake, clock, start, requests } = world(generation, { maxStreamsPerEngine: 10, reconcileIntervalMs: 0 })
    const streams = []
    for (let i = 0; i < 30; i += 1) streams.push(await start(client, `session ${i}`, `channel ${i}`))
    const outage = fake.inject({ kind: 'refused', ...FOR_EVER })
    const ended = streams.map((stream) => stream.end())
    await clock.advance(60_000)
    outage.remove()
    const before = requests(STREAMS)
    const outcomes = await during(clock, Promise.all(ended))
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(streams.map(() => 'delivered'))
    expect(fake.liveStreamIds()).toEqual([])
    // One list is used for 1 s at most, and the ends are sent within a few seconds.
    expect(requests(STREAMS) - before).toBeLessThanOrEqual(3)
  })
})

describe.each(GENERATIONS)('[I4] the end of a stream whose start stalled on %s', (generation) => {
  it('is not sent if its id was started again at another proxy meanwhile', async () => {
    const { client, other, fake, clock, start, requests } = world(generation)
    await during(clock, other.listEngines())
    fake.inject({ kind: 'reset-after', route: START, times: 1 })
    const first = await start(client, 'session 1')
    expect([first.state, fake.liveStreamIds()]).toEqual(['announcing', ['channel']])
    fake.endElsewhere('channel')
    const second = await start(other, 'session 2')
    expect(await during(clock, first.end())).toMatchObject({ outcome: 'delivered', attempts: 0 })
    expect([second.state, fake.liveStreamIds(), requests(END)]).toEqual(['live', ['channel'], 0])
  })
})

describe.each(GENERATIONS)('[I4] an end by id that %s rejected', (generation) => {
  it('is not sent again for the next stream with the id, which starts before the next reconciliation', async () => {
    const { client, other, fake, clock, start, requests } = world(generation)
    const first = await start(other, 'session 1')
    fake.inject({ kind: 'status', status: 401, route: END, times: 1 })
    expect(await during(clock, client.streamEnded('channel'))).toMatchObject({ outcome: 'undeliverable' })
    await during(clock, first.end())
    const second = await start(other, 'session 2')
    await clock.advance(120_000)
    expect([second.state, fake.liveStreamIds(), requests(END)]).toEqual(['live', ['channel'], 2])
  })

  it('is not sent again for a stream that starts with the id afterwards, if none was listed before', async () => {
    const { client, other, fake, clock, start, requests } = world(generation)
    fake.inject({ kind: 'status', status: 401, route: END, times: 1 })
    expect(await during(clock, client.streamEnded('channel'))).toMatchObject({ outcome: 'undeliverable' })
    await start(other, 'session 2')
    await clock.advance(120_000)
    expect([fake.liveStreamIds(), requests(END)]).toEqual([['channel'], 1])
  })

  it('is sent again while the stream that it was meant for is listed', async () => {
    const { client, other, fake, clock, start } = world(generation)
    await start(other, 'session 1')
    fake.inject({ kind: 'status', status: 401, route: END, times: 3 })
    expect(await during(clock, client.streamEnded('channel'))).toMatchObject({ outcome: 'undeliverable' })
    await clock.advance(120_000)
    expect(fake.liveStreamIds()).toEqual([])
  })

  it.each([
    ['is sent by the next process while the stream that it was meant for is listed', false],
    ['is not sent by the next process for the next stream with the id', true],
  ])('%s', async (_, isReused) => {
    const { fake, clock, first, second: next, start } = processes(generation)
    fake.inject({ kind: 'status', status: 401, route: END, times: 1 })
    expect(await during(clock, first.client.streamEnded('channel'))).toMatchObject({ outcome: 'undeliverable' })
    first.die()
    if (isReused) fake.endElsewhere('channel')
    await clock.advance(1_000)
    if (isReused) start()
    await during(clock, next().client.listEngines())
    await clock.advance(120_000)
    expect(fake.liveStreamIds()).toEqual(isReused ? ['channel'] : [])
  })

  it('is sent after its process died in an outage, for the stream that is listed first and for no later one', async () => {
    const { fake, clock, first, second: next, start } = processes(generation)
    const outage = fake.inject({ kind: 'refused', ...FOR_EVER })
    void first.client.streamEnded('channel')
    await clock.advance(1_000)
    first.die()
    outage.remove()
    const failing = fake.inject({ kind: 'status', status: 503, route: END, ...FOR_EVER })
    await during(clock, next().client.listEngines())
    await clock.advance(60_000)
    fake.endElsewhere('channel')
    await clock.advance(1_000)
    start()
    failing.remove()
    await clock.advance(120_000)
    expect(fake.liveStreamIds()).toEqual(['channel'])
  })
})

/** Two processes that share a store, and a live stream that neither of them started. */
function processes(generation: Generation) {
  const fleet = new Fleet({ generation, engines: 3 })
  const { fake, clock } = fleet
  const start = () => fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '', streamId: 'channel' })
  start()
  return { fake, clock, first: fleet.join(), second: () => fleet.join(), start }
}
