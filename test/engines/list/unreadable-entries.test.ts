import type { Cache, OrchestratorClientOptions } from 'acestream-orchestrator-client'
import { type FakeOrchestratorOptions, GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { ChangedLists } from '../../support/changed-lists.ts'
import { PushTransport } from '../../support/push-transport.ts'
import { connect, failureOf, playback, setup } from '../../support/setup.ts'

function mangling(fakeOptions: FakeOrchestratorOptions = {}, options: Partial<OrchestratorClientOptions> = {}) {
  const { clock, fake } = setup(fakeOptions)
  const lists = new ChangedLists(fake)
  const warnings: unknown[][] = []
  const quiet = (): void => {}
  const logger = { debug: quiet, info: quiet, warn: (...line: unknown[]) => void warnings.push(line), error: quiet }
  const client = connect(fake, clock, { transport: lists, cacheTtlMs: 0, logger, ...options })
  const ids = fake.engines.map(({ containerId }) => containerId)
  return { clock, fake, lists, client, warnings, ids, first: ids[0] ?? '' }
}

const only = (containerId: string, fields: object) => (entry: Record<string, unknown>) =>
  entry['container_id'] === containerId ? { ...entry, ...fields } : entry

describe.each(GENERATIONS)('while %s lists an engine that cannot be read', (generation) => {
  it('viewers get the other engines, and one warning is logged', async () => {
    const { client, lists, first, ids, warnings } = mangling({ generation, engines: 3 })
    lists.onEngine = only(first, { port: null })
    const leases = await Promise.all([client.acquireEngine({ waitMs: 0 }), client.acquireEngine({ waitMs: 0 })])
    expect(leases.map(({ engine }) => engine.containerId).toSorted()).toEqual(ids.slice(1).toSorted())
    for (let read = 0; read < 5; read += 1) expect(await client.listEngines()).toHaveLength(2)
    expect(warnings).toEqual([['An entry of the engine list is left out', { containerId: first, cause: 'port: expected number' }]])
  })

  it.each([
    ['null', { port: null }],
    ['-1', { port: -1 }],
  ])('a live stream on that engine is not lost in ten minutes in which its port is %s', async (_, fields) => {
    const { client, fake, clock, lists, first } = mangling({ generation, engines: 2 })
    fake.startElsewhere({ containerId: fake.engines[1]?.containerId ?? '' })
    const stream = await (await client.acquireEngine()).startStream(playback())
    expect(stream.engine.containerId).toBe(first)
    lists.onEngine = only(first, fields)
    for (let minutes = 0; minutes < 10; minutes += 1) {
      expect(await client.reconcile()).toMatchObject({ lost: [], unsettled: [stream.id] })
      await clock.advance(60_000)
    }
    expect(stream.lost.aborted).toBe(false)
    lists.onEngine = (entry) => entry
    expect(await client.reconcile()).toMatchObject({ lost: [], confirmed: [stream.id] })
    expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 0 })
  })

  it('a live stream is lost only after 2 minutes when its engine is missing and an entry without an id may be that engine', async () => {
    const { client, fake, clock, lists, first } = mangling({ generation, engines: 2 })
    fake.startElsewhere({ containerId: fake.engines[1]?.containerId ?? '' })
    const stream = await (await client.acquireEngine()).startStream(playback())
    lists.onEngine = only(first, { container_id: null })
    expect(await client.reconcile()).toMatchObject({ lost: [], unsettled: [stream.id] })
    await clock.advance(119_999)
    expect(await client.reconcile()).toMatchObject({ lost: [], unsettled: [stream.id] })
    await clock.advance(1)
    expect(await client.reconcile()).toMatchObject({ lost: [stream.id] })
  })

  it('a start is retried only when its engine can be read again', async () => {
    const { client, fake, clock, lists, first } = mangling({ generation, engines: 2 }, { random: () => 0.5 })
    fake.startElsewhere({ containerId: fake.engines[1]?.containerId ?? '' })
    const lease = await client.acquireEngine()
    fake.inject({ kind: 'status', status: 503, route: 'POST /events/stream_started' })
    lists.onEngine = only(first, { host: null })
    const stream = await lease.startStream(playback())
    await clock.advance(60_000)
    expect([stream.state, stream.lost.aborted, fake.counters.startsApplied]).toEqual(['announcing', false, 0])
    lists.onEngine = (entry) => entry
    await clock.advance(20_000)
    expect([stream.state, fake.counters.startsApplied]).toEqual(['live', 1])
  })
})

it('a stream on an engine that cannot be read is not announced under the address that its host uses (H7)', async () => {
  const mapEngine = () => ({ host: '127.0.0.1', port: 1 })
  const { client, fake, clock, lists, first } = mangling({ engines: 2 }, { mapEngine, random: () => 0.5 })
  lists.onEngine = only(first, { port: null })
  const engine = { ...mapEngine(), containerId: first }
  const stream = await client.streamStarted({ ...playback(), engine })
  await clock.advance(30_000)
  expect([stream.state, stream.lost.aborted, fake.counters.startsApplied]).toEqual(['announcing', false, 0])
  lists.onEngine = (entry) => entry
  await clock.advance(20_000)
  expect([stream.state, fake.counters.startsApplied]).toEqual(['live', 1])
  expect(await client.listEngines()).not.toMatchObject([{ host: '127.0.0.1' }, {}])
})

describe.each(['2025-10', 'v1'] as const)('while %s lists a stream that cannot be read', (generation) => {
  it('a live stream is not announced again within 2 minutes, because it may be the unreadable one (H5)', async () => {
    const { client, fake, clock, lists } = mangling({ generation, engines: 1 }, { maxStreamsPerEngine: 2 })
    fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '' })
    const stream = await (await client.acquireEngine()).startStream(playback())
    lists.onStream = (entry) => (entry['id'] === stream.id ? { ...entry, id: null } : entry)
    expect(await client.reconcile()).toMatchObject({ reannounced: [], unsettled: [stream.id] })
    await clock.advance(119_999)
    expect(await client.reconcile()).toMatchObject({ reannounced: [], unsettled: [stream.id] })
    lists.onStream = (entry) => entry
    expect(await client.reconcile()).toMatchObject({ reannounced: [], confirmed: [stream.id] })
    expect(fake.counters.startsApplied).toBe(1)
  })

  it('an end whose request was lost is sent again, because its stream may be the unreadable one', async () => {
    const { client, fake, clock, lists } = mangling({ generation, engines: 1 }, { maxStreamsPerEngine: 2, random: () => 0.5 })
    fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '' })
    const stream = await (await client.acquireEngine()).startStream(playback())
    lists.onStream = (entry) => (entry['id'] === stream.id ? { ...entry, id: null } : entry)
    fake.inject({ kind: 'lost-request', route: 'POST /events/stream_ended' })
    const ended = stream.end()
    await clock.advance(20_000)
    expect(await ended).toMatchObject({ outcome: 'delivered', attempts: 2 })
    expect(fake.counters.endsApplied).toBe(1)
  })
})

describe('on v1', () => {
  it('[I1] each stream without a readable id takes a slot on its engine', async () => {
    const { client, fake, lists, first } = mangling({ generation: 'v1', engines: 2, maxReplicas: 2 }, { maxStreamsPerEngine: 3 })
    for (const streamId of ['one', 'two', 'three']) fake.startElsewhere({ containerId: first, streamId })
    fake.startElsewhere({ containerId: fake.engines[1]?.containerId ?? '' })
    lists.onStream = (entry) => (entry['id'] === 'one' || entry['id'] === 'two' ? { ...entry, id: null } : entry)
    const acquire = () => client.acquireEngine({ waitMs: 0, provision: false })
    const leases = [await acquire(), await acquire()]
    expect(leases.map(({ engine }) => engine.containerId)).not.toContain(first)
    expect(await failureOf(acquire())).toMatchObject({ code: 'CAPACITY' })
  })

  it('a pushed list is used without the engine that cannot be read, and one warning is logged', async () => {
    const { fake, clock, first } = mangling({ generation: 'v1', engines: 3 })
    const wire = new PushTransport(fake, clock)
    const warnings: unknown[] = []
    const quiet = (): void => {}
    const logger = { debug: quiet, info: quiet, warn: (_: string, fields?: object) => void warnings.push(fields), error: quiet }
    const client = connect(fake, clock, { transport: wire, dialect: 'v1', logger })
    await (await client.acquireEngine()).release()
    wire.mangle = (text) => {
      const [head = '', data = ''] = text.split('data: ')
      if (data === '') return [text]
      const message = JSON.parse(data) as { payload: { engines: Record<string, unknown>[] } }
      message.payload.engines = message.payload.engines.map(only(first, { host: null }))
      return [`${head}data: ${JSON.stringify(message)}\n\n`]
    }
    await clock.advance(5_500)
    expect(await client.listEngines()).toHaveLength(2)
    expect(warnings).toEqual([{ containerId: first, cause: 'host: expected string' }])
  })
})

describe('a list in a cache that other processes write to', () => {
  const cacheWith = (engines: readonly unknown[], receivedAt: number): Cache => {
    const envelope = { version: 1, source: 'another', sequence: 1, receivedAt, engines }
    return { get: () => structuredClone(envelope), set: () => {}, delete: () => {} }
  }
  const record = (containerId: unknown, fields: object = {}) => ({
    containerId,
    host: 'gluetun',
    port: 19_000,
    healthStatus: 'healthy',
    forwarded: false,
    draining: false,
    streamIds: [],
    streamCount: 0,
    labels: {},
    ...fields,
  })

  it('is used without the entries that cannot be read, with one warning for each', async () => {
    const { clock, fake } = setup()
    const warnings: unknown[] = []
    const quiet = (): void => {}
    const logger = { debug: quiet, info: quiet, warn: (_: string, fields?: object) => void warnings.push(fields), error: quiet }
    const cache = cacheWith([record('a'), record('b', { port: null }), record('c', { port: '19001' }), record('a')], clock.now())
    const client = connect(fake, clock, { cache, logger })
    for (let read = 0; read < 3; read += 1) {
      expect((await client.listEngines()).map(({ containerId, port }) => [containerId, port])).toEqual([
        ['a', 19_000],
        ['c', 19_001],
      ])
    }
    expect(fake.counters.requests.total).toBe(0)
    expect(warnings).toEqual([
      { containerId: 'a', cause: 'listed more than once' },
      { containerId: 'b', cause: 'port: expected number' },
    ])
  })

  it('is used without an engine whose stream ids have a gap', async () => {
    const { clock, fake } = setup()
    const cache = cacheWith([record('a'), record('b', { streamIds: new Array(1) })], clock.now())
    const engines = await connect(fake, clock, { cache }).listEngines()
    expect(engines.map(({ containerId }) => containerId)).toEqual(['a'])
  })

  it('without a readable entry is not used', async () => {
    const { clock, fake } = setup()
    const client = connect(fake, clock, {
      cache: cacheWith([record('b', { port: null }), record(null)], clock.now()),
      dialect: 'unversioned',
    })
    expect(await client.listEngines()).toHaveLength(3)
    expect(fake.counters.requests.byRoute['GET /engines']).toBe(1)
  })

  it('names the engines that were left out, so that no other process takes them for removed', async () => {
    const { fake, clock, lists, first } = mangling({ engines: 2 })
    const held = new Map<string, unknown>()
    const cache: Cache = {
      get: (key) => structuredClone(held.get(key)),
      set: (key, value) => void held.set(key, structuredClone(value)),
      delete: (key) => void held.delete(key),
    }
    lists.onEngine = only(first, { host: null })
    await connect(fake, clock, { transport: lists, cache }).listEngines()
    expect([...held.values()]).toMatchObject([{ unreadable: { engines: [{ id: first, cause: 'host: expected string' }], streams: [] } }])
  })
})
