import { type OrchestratorClientOptions, StreamLostError } from 'acestream-orchestrator-client'
import {
  FakeOrchestrator,
  type FakeOrchestratorOptions,
  type Fault,
  GENERATIONS,
  type Generation,
  ManualClock,
  seededRandom,
} from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { connect, during, failureOf, playback } from '../support/setup.ts'

const START = 'POST /events/stream_started'
const END = 'POST /events/stream_ended'
const PROVISION = 'POST /provision/acestream'

interface Sent {
  route: string
  // biome-ignore lint/suspicious/noExplicitAny: the body of any route
  body: any
}

/** A client, its orchestrator, and the requests between them in order. */
function world(generation: Generation, fakeOptions: FakeOrchestratorOptions = {}, options: Partial<OrchestratorClientOptions> = {}) {
  const clock = new ManualClock()
  const fake = new FakeOrchestrator({ clock, random: seededRandom(1), generation, engines: 2, ...fakeOptions })
  const sent: Sent[] = []
  const transport: OrchestratorClientOptions['transport'] = {
    request: (request) => {
      const route = `${request.method} ${request.url.pathname.replace('/api/v1', '')}`
      sent.push({ route, body: JSON.parse(request.body ?? 'null') })
      return fake.request(request)
    },
  }
  const client = connect(fake, clock, { transport, reconcileIntervalMs: 30_000, ...options })
  const lost: unknown[] = []
  client.on('stream:lost', ({ streamId }) => lost.push(streamId))
  const watch = async (streamId: string, key = streamId) => (await client.acquireEngine()).startStream({ ...playback(key), streamId })
  const bodies = (route: string) => sent.filter((request) => request.route === route).map(({ body }) => body)
  /** Whether the stream list was read between any two requests of this route. */
  const isListReadBetween = (route: string) => {
    const at = sent.flatMap((request, index) => (request.route === route ? [index] : []))
    return at.slice(1).every((index, n) => sent.slice(at[n], index).some((request) => request.route === 'GET /streams'))
  }
  const areEndsFenced = () => bodies(END).every(({ container_id, stream_id }) => container_id === `stream:${stream_id}`)
  return { clock, fake, client, lost, watch, bodies, isListReadBetween, areEndsFenced }
}

const outage: Fault = { kind: 'refused', times: Number.POSITIVE_INFINITY }
/** Faults that leave the outcome unknown to the client. The request was applied. */
const APPLIED: readonly Omit<Fault, 'route'>[] = [
  { kind: 'lost-answer' },
  { kind: 'reset-after' },
  { kind: 'delay', delayMs: 4_000 },
  { kind: 'status', status: 500, applied: true },
  { kind: 'html', status: 502, applied: true },
  { kind: 'truncated' },
  { kind: 'oversized' },
]
/** Faults that leave the outcome unknown to the client. The request was not applied. */
const NOT_APPLIED: readonly Omit<Fault, 'route'>[] = [{ kind: 'lost-request' }, { kind: 'reset' }, { kind: 'status', status: 504 }]

describe.each(GENERATIONS)('hazards of %s', (generation) => {
  it('H1: no end ends another stream: not for an unknown id, a repeated end, a forgotten stream or a lost answer', async () => {
    const { client, fake, clock, watch, bodies, areEndsFenced } = world(generation, { autoDelete: true }, { maxStreamsPerEngine: 9 })
    const [first, forgotten] = [await watch('first'), await watch('forgotten')]
    const otherStreams = fake.engines.map(({ containerId }) => fake.startElsewhere({ containerId }))
    fake.endElsewhere('forgotten')
    fake.inject({ kind: 'lost-answer', route: END })
    const ends = [first.end(), forgotten.end(), client.streamEnded('never seen'), client.streamEnded('first')]
    await during(clock, Promise.all(ends))
    await first.end()
    expect(fake.liveStreamIds().toSorted()).toEqual(otherStreams.toSorted())
    expect(fake.engines).toHaveLength(2)
    expect(bodies(END).length).toBeGreaterThanOrEqual(3)
    expect(areEndsFenced()).toBe(true)
    expect([fake.counters.innocentsEnded, client.metrics().events.misapplied]).toEqual([0, 0])
  })

  it.each(['the orchestrator works', 'connections are refused', 'answers are lost'])(
    'H2: an end that is requested in the tick of its start never overtakes the start while %s',
    async (condition) => {
      const { client, fake, clock, watch } = world(generation, { engines: 5 }, { maxStreamsPerEngine: 4 })
      await client.listEngines()
      fake.latencyMs = (route) => (route === START ? 800 : 10)
      if (condition === 'connections are refused') fake.inject({ ...outage, times: 30 })
      if (condition === 'answers are lost') fake.inject({ kind: 'lost-answer', route: [START, END], times: 10, probability: 0.5 })
      const ends = Array.from({ length: 10 }, async (_, i) => {
        const starting = watch(`s${i}`)
        await clock.settle()
        const ending = client.streamEnded(`s${i}`)
        await starting
        return ending
      })
      await during(clock, Promise.all(ends))
      await clock.advance(60_000)
      const order = new Map<string, string>()
      for (const { streamId, kind } of fake.log) order.set(streamId, `${order.get(streamId) ?? ''} ${kind}`)
      expect([...order.values()].filter((kinds) => kinds !== ' started ended')).toEqual([])
      expect(fake.liveStreamIds()).toEqual([])
      expect(fake.counters).toMatchObject({ repeatedStarts: 0, innocentsEnded: 0, endsMissed: 0 })
    },
  )

  it.each([400, 401, 422])('H3: no end is sent for a start that was rejected with %i, not even by streamEnded()', async (status) => {
    const { client, fake, bodies, watch } = world(generation)
    const otherStreams = fake.engines.slice(1).map(({ containerId }) => fake.startElsewhere({ containerId }))
    fake.inject({ kind: 'status', status, body: '{"detail":[]}', route: START })
    expect(await failureOf(watch('refused'))).toMatchObject({ status })
    expect(await client.streamEnded('refused')).toMatchObject({ outcome: 'not-announced', attempts: 0 })
    const noUrl = { ...playback(), session: { playbackSessionId: 'p', statUrl: '', commandUrl: '' } }
    expect(await failureOf((await client.acquireEngine()).startStream(noUrl))).toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect([bodies(START).length, bodies(END).length, client.metrics().streams.live]).toEqual([1, 0, 0])
    expect(fake.liveStreamIds()).toEqual(otherStreams)
  })

  it.each([...APPLIED, ...NOT_APPLIED])(
    'H4, H5: after $kind $status the client reads the stream list before it sends a start again, and the start is applied once',
    async (fault) => {
      const { client, fake, clock, watch, bodies, isListReadBetween } = world(generation, {}, { dialect: 'auto' })
      fake.inject({ ...fault, route: START, times: 2 } as Fault)
      const stream = await during(clock, watch('one'))
      expect(stream.state).toBe('announcing')
      await clock.advance(20_000)
      const wasApplied = APPLIED.includes(fault)
      expect(stream.state).toBe('live')
      expect(bodies(START)).toHaveLength(wasApplied ? 1 : 3)
      expect(isListReadBetween(START)).toBe(true)
      expect(fake.counters).toMatchObject({ startsApplied: 1, repeatedStarts: 0 })
      expect((await client.listEngines({ fresh: true })).map(({ streamCount }) => streamCount).toSorted()).toEqual([0, 1])
      expect(client.metrics().events).toMatchObject({ started: 1, pending: 0 })
    },
  )

  it.each([...APPLIED, ...NOT_APPLIED])(
    'H4: after $kind $status the client reads the stream list before it sends an end again, and the end is applied once',
    async (fault) => {
      const { fake, clock, watch, bodies, isListReadBetween } = world(generation)
      const stream = await watch('one')
      fake.inject({ ...fault, route: END, times: 2 } as Fault)
      expect(await during(clock, stream.end())).toEqual({ outcome: 'delivered', attempts: APPLIED.includes(fault) ? 1 : 3 })
      expect(bodies(END)).toHaveLength(APPLIED.includes(fault) ? 1 : 3)
      expect(isListReadBetween(END)).toBe(true)
      expect(fake.counters).toMatchObject({ endsApplied: 1, repeatedEnds: 0, endsMissed: 0, innocentsEnded: 0 })
    },
  )

  it.each(APPLIED)(
    'H4: after $kind $status the end of a stream of another process is not sent again: the list shows it is over',
    async (fault) => {
      const { client, fake, clock, bodies } = world(generation)
      const streamId = fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '' })
      fake.inject({ ...fault, route: END } as Fault)
      expect(await during(clock, client.streamEnded(streamId))).toEqual({ outcome: 'delivered', attempts: 1 })
      expect(bodies(END)).toHaveLength(1)
      expect(fake.counters).toMatchObject({ endsApplied: 1, repeatedEnds: 0, endsMissed: 0, innocentsEnded: 0 })
    },
  )

  // 2026-04 creates no engine on request.
  it.each(generation === '2026-04' ? [] : (['lost-answer', 'reset-after'] as const))(
    'H4: after %s a request for an engine is not repeated: the client finds the new engine in the list and leases it',
    async (kind) => {
      const { client, fake, clock, bodies } = world(generation, { engines: 1 }, { provisionTimeoutMs: 10_000 })
      await client.acquireEngine()
      fake.inject({ kind, route: PROVISION })
      const lease = await during(clock, client.acquireEngine())
      expect(lease.engine.containerId).toBe(fake.engines[1]?.containerId)
      expect([bodies(PROVISION).length, fake.engines.length]).toEqual([1, 2])
    },
  )

  it('H6: a live stream of the same content as a stream that ended is listed within 1.5 s after that end', async () => {
    const { client, fake, clock, watch } = world(generation, { engines: 3 })
    const leaves = await watch('leaves', 'k')
    await watch('other')
    const stays = await watch('stays', 'k')
    const again: unknown[] = []
    client.on('stream:reannounced', ({ streamId }) => again.push(streamId))
    expect(await leaves.end()).toMatchObject({ outcome: 'delivered' })
    await clock.advance(1_500)
    expect(again).toEqual(generation === '2026-04' ? ['stays'] : [])
    expect(stays).toMatchObject({ state: 'live', lost: { aborted: false } })
    expect(fake.liveStreamIds().toSorted()).toEqual(['other', 'stays'])
    expect(fake.liveStreamIds(stays.engine.containerId)).toEqual(['stays'])
    expect(fake.counters).toMatchObject({ repeatedStarts: 0, enginesInvented: 0 })
  })

  it('H6: the same key under another key type is listed again too, within 1.5 s after the end', async () => {
    const { client, fake, clock, watch } = world(generation, { engines: 2 })
    const leaves = await watch('leaves', 'k')
    await (await client.acquireEngine()).startStream({ ...playback('k'), keyType: 'content_id', streamId: 'stays' })
    await leaves.end()
    await clock.advance(1_500)
    expect(fake.liveStreamIds()).toEqual(['stays'])
  })

  it.each([
    { end: 'slow', stalls: false, key: 'a'.repeat(40) },
    { end: 'slow, and names the content in capitals', stalls: false, key: 'A'.repeat(40) },
    { end: 'stalled', stalls: true, key: 'a'.repeat(40) },
  ])('H6: a viewer who changes to another engine stays listed, though the end of the first stream is $end', async ({ stalls, key }) => {
    const { client, fake, clock, watch } = world(generation, { engines: 2 })
    const again: unknown[] = []
    client.on('stream:reannounced', ({ streamId }) => again.push(streamId))
    const first = await watch('first', 'a'.repeat(40))
    if (stalls) fake.inject({ kind: 'status', status: 503, route: END, times: 3 })
    fake.latencyMs = (route) => (route === END ? 900 : 10)
    const ending = first.end()
    const lease = await client.acquireEngine({ exclude: [first.engine.containerId ?? ''], waitMs: 0 })
    const second = await during(clock, lease.startStream({ ...playback(key), streamId: 'second' }))
    await during(clock, ending)
    await clock.advance(5_000)
    expect(fake.liveStreamIds()).toEqual(['second'])
    expect([second.state, again, fake.counters.namesakesEnded]).toEqual(['live', [], 0])
    const order = fake.log.map(({ kind, streamId }) => `${streamId} ${kind}`)
    // v1 ends only the stream that was named, so there the viewer need not wait.
    if (generation === 'v1') expect(order).toEqual(['first started', 'second started', 'first ended'])
    else expect(order).toEqual(['first started', 'first ended', 'second started'])
  })

  it('H6: a start of another content does not wait for a slow end on another engine', async () => {
    const { client, fake, clock, watch } = world(generation, { engines: 2 })
    const first = await watch('first', 'k')
    fake.latencyMs = (route) => (route === END ? 900 : 10)
    const ending = first.end()
    const lease = await client.acquireEngine({ exclude: [first.engine.containerId ?? ''], waitMs: 0 })
    await during(clock, lease.startStream({ ...playback('other'), streamId: 'second' }))
    await during(clock, ending)
    expect(fake.log.map(({ kind, streamId }) => `${streamId} ${kind}`)).toEqual(['first started', 'second started', 'first ended'])
  })

  it('H7: each start, also a delayed or repeated one, has the listed address of its engine and no label but stream_id', async () => {
    const mapEngine = ({ port }: { port: number }) => ({ host: '10.0.0.9', port: port + 1 })
    const { fake, clock, watch, bodies } = world(generation, { engines: [{ host: 'gluetun', port: 19_000 }] }, { mapEngine })
    const fault = fake.inject({ ...outage, route: START })
    const stream = await watch('one')
    await clock.advance(3_000)
    fault.remove()
    await clock.advance(20_000)
    expect(stream.engine).toMatchObject({ host: '10.0.0.9', port: 19_001 })
    fake.endElsewhere('one')
    await clock.advance(31_000)
    expect(fake.liveStreamIds()).toEqual(['one'])
    expect(bodies(START).length).toBeGreaterThanOrEqual(3)
    for (const body of bodies(START)) {
      expect(body).toMatchObject({ engine: { host: 'gluetun', port: 19_000 }, labels: { stream_id: 'one' } })
      expect(Object.keys(body.labels)).toEqual(['stream_id'])
    }
    expect(fake.engines).toMatchObject([{ host: 'gluetun', port: 19_000 }])
  })

  it('H8: a start that an outage delayed until its engine was gone is never sent, so no engine is invented', async () => {
    const { client, fake, clock, watch, bodies, lost } = world(generation)
    const fault = fake.inject({ ...outage, route: START })
    const stream = await watch('one')
    fault.remove()
    fake.inject({ ...outage, times: 12 })
    fake.removeEngine(stream.engine.containerId ?? '')
    const sent = bodies(START).length
    await clock.advance(120_000)
    expect(stream).toMatchObject({ state: 'lost', lost: { aborted: true } })
    expect(lost).toEqual(['one'])
    expect([bodies(START).length - sent, bodies(END).length]).toEqual([0, 0])
    expect(fake.counters).toMatchObject({ startsApplied: 0, enginesInvented: 0 })
    expect(client.metrics()).toMatchObject({ streams: { live: 0 }, events: { pending: 0 } })
    expect(await stream.end()).toMatchObject({ outcome: 'not-announced', attempts: 0 })
  })

  it.each([0, 20_000])('H9: after a restart of %i ms no start is sent to a new engine because it has an old port', async (downMs) => {
    const { client, fake, clock, watch, bodies, lost, areEndsFenced } = world(generation)
    const streams = [await watch('announced')]
    const ports = fake.engines.map(({ port }) => port)
    const before = fake.log.length
    const lease = await client.acquireEngine()
    fake.restart({ downMs })
    // A stream is started while connections are refused. Its start stalls until the engines have been replaced.
    if (downMs > 0) streams.push(await lease.startStream({ ...playback('b'), streamId: 'stalled' }))
    else await lease.release()
    await clock.advance(60_000)
    expect(fake.engines.map(({ port }) => port)).toEqual(ports)
    expect(fake.log.slice(before).filter(({ kind }) => kind === 'started')).toEqual([])
    for (const { id, state, engine, lost: signal } of streams) {
      expect([state, signal.reason instanceof StreamLostError]).toEqual(['lost', true])
      expect(signal.reason).toMatchObject({ code: 'STREAM_LOST', streamId: id, containerId: engine.containerId })
    }
    expect(lost).toEqual(expect.arrayContaining(streams.map(({ id }) => id)))
    expect(lost).toHaveLength(streams.length)
    expect(new Set(bodies(END).map(({ stream_id }) => stream_id))).toEqual(new Set(['announced']))
    expect([areEndsFenced(), fake.liveStreamIds()]).toEqual([true, []])
    expect(client.metrics()).toMatchObject({ streams: { live: 0 }, leases: { active: 0 }, events: { pending: 0 } })
    const next = [await watch('next'), await watch('next but one')]
    expect(next.map(({ state }) => state)).toEqual(['live', 'live'])
    expect(fake.counters).toMatchObject({ enginesInvented: 0, innocentsEnded: 0 })
  })

  it('H10: if its engine vanishes a stream is followed to its new engine or is lost, and its end is delivered', async () => {
    const { client, fake, clock, watch, lost } = world(generation, { engines: 2, minReplicas: 0 })
    const stream = await watch('one')
    const gone = stream.engine.containerId ?? ''
    fake.removeEngine(gone)
    await clock.advance(61_000)
    const [remaining] = fake.engines
    if (generation === '2026-04') {
      expect(stream).toMatchObject({ state: 'live', lost: { aborted: false } })
      expect(stream.engine).toMatchObject({ containerId: remaining?.containerId, host: remaining?.host, port: remaining?.port })
      expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ code: 'CAPACITY' })
      expect(await stream.end()).toMatchObject({ outcome: 'delivered' })
    } else {
      expect([stream.state, stream.lost.aborted, lost]).toEqual(['lost', true, ['one']])
      expect((await stream.end()).outcome).toBe('delivered')
    }
    expect(fake.liveStreamIds()).toEqual([])
    expect((await client.acquireEngine({ waitMs: 0 })).engine.containerId).toBe(remaining?.containerId)
  })

  it('H10: no stream is lost while the orchestrator lists no engine for 90 s', async () => {
    const { client, fake, clock, watch, lost, bodies } = world(generation)
    const stream = await watch('one')
    const fault = fake.inject({ kind: 'status', status: 200, body: '[]', route: 'GET /engines', times: Number.POSITIVE_INFINITY })
    await clock.advance(1)
    expect(await client.reconcile()).toMatchObject({ unsettled: ['one'], lost: [] })
    await clock.advance(90_000)
    fault.remove()
    await clock.advance(1)
    expect(await client.reconcile()).toMatchObject({ confirmed: ['one'], unsettled: [] })
    expect([lost, stream.state, stream.lost.aborted, bodies(START).length]).toEqual([[], 'live', false, 1])
  })

  it('H15: a list that was read before an event and arrives after it changes no stream', async () => {
    const { client, fake, clock, watch, bodies } = world(generation, { engines: 3 })
    const ends = await watch('ends')
    await watch('stays')
    fake.latencyMs = (route) => (route.startsWith('GET') ? 2_000 : 10)
    const reading = client.reconcile() // read by the orchestrator after 1 s, answered after 2 s
    await clock.advance(1_500)
    await during(clock, ends.end(), 10)
    expect(await during(clock, reading)).toMatchObject({ confirmed: ['stays'], reannounced: [], lost: [], endedAgain: [] })
    expect([bodies(START).length, bodies(END).length]).toEqual([2, 1])
  })

  it('H15: checkHealth() returns the new status once 0.5 s have passed', async () => {
    const { client, fake, clock } = world(generation)
    fake.setProvisioning({ refuse: 'vpn_disconnected' })
    expect((await client.checkHealth()).provisioning.canProvision).toBe(false)
    fake.setProvisioning({ refuse: undefined })
    const soon = await client.checkHealth() // 2026-04 answers with a status that is up to 0.5 s old
    await clock.advance(500)
    expect([soon.provisioning.canProvision, (await client.checkHealth()).provisioning.canProvision]).toEqual([
      generation !== '2026-04',
      true,
    ])
  })

  it.each([false, true])(
    'a start that is applied after its stream ended is ended again, unless a new stream has its id (new stream: %s)',
    async (isReused) => {
      const { client, fake, clock, watch, bodies, areEndsFenced } = world(generation, { engines: 1 })
      fake.inject({ kind: 'delay', delayMs: 20_000, applyLate: true, route: START })
      const first = await during(clock, watch('one'))
      expect(first.state).toBe('announcing')
      expect(await during(clock, first.end())).toMatchObject({ attempts: 1 })
      const second = isReused ? await during(clock, watch('one')) : undefined
      await clock.advance(18_000)
      expect(fake.liveStreamIds()).toEqual(['one'])
      await clock.advance(60_000)
      expect(fake.liveStreamIds()).toEqual(second === undefined ? [] : ['one'])
      expect(bodies(END)).toHaveLength(second === undefined ? 2 : 1)
      expect(second?.state ?? 'live').toBe('live')
      await second?.end()
      expect([fake.liveStreamIds(), areEndsFenced(), fake.counters.innocentsEnded]).toEqual([[], true, 0])
      expect(client.metrics()).toMatchObject({ streams: { live: 0 }, events: { pending: 0 } })
    },
  )
})
