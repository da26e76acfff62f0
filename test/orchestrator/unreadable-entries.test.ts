import { describe, expect, test } from 'vitest'
import { MalformedResponseError } from '../../src/errors.ts'
import { decodePush } from '../../src/orchestrator/wire-lists.ts'
import { silentLogger } from '../../src/runtime/logger.ts'
import { rejection, StubOrchestrator, wire } from './stub-orchestrator.ts'

const engine = (id: unknown, fields: object = {}): object => ({ container_id: id, host: 'gluetun', port: 19_000, streams: [], ...fields })
const stream = (id: unknown, containerId: unknown = 'a', fields: object = {}): object => ({
  id,
  container_id: containerId,
  status: 'started',
  ...fields,
})

/** An orchestrator that answers with these lists, and the warnings that the client logs. */
function listing(engines: readonly unknown[], streams?: readonly unknown[]) {
  const warnings: unknown[][] = []
  const logger = { ...silentLogger, warn: (...line: unknown[]) => void warnings.push(line) }
  const transport = new StubOrchestrator(({ url }) => ({ body: url.pathname.endsWith('/streams') ? streams : engines }))
  return { ...wire(transport, { dialect: streams === undefined ? 'unversioned' : 'v1', logger }), warnings }
}

const BROKEN: readonly (readonly [string, object, string])[] = [
  ['its port is null', { port: null }, 'port: expected number'],
  ['its port is no number', { port: 'http' }, 'port: expected number'],
  ['its host is null', { host: null }, 'host: expected string'],
  ['its streams are no list', { streams: 'all' }, 'streams: expected Array'],
  ['one of its stream ids is null', { streams: ['s1', null] }, 'streams.1: expected string'],
]

describe('an engine entry that cannot be read', () => {
  test.each(BROKEN)('is left out, with one warning that names it, even if the list is read three times: %s', async (_, fields, cause) => {
    const { api, warnings } = listing([engine('a'), engine('broken', fields), engine('c')])
    for (let read = 0; read < 3; read += 1) {
      const { engines, unreadable } = await api.listEngines()
      expect(engines.map(({ containerId }) => containerId)).toEqual(['a', 'c'])
      expect(unreadable).toEqual({ engines: [{ id: 'broken', cause }], streams: [] })
    }
    expect(warnings).toEqual([['An entry of the engine list is left out', { containerId: 'broken', cause }]])
  })

  test.each([[null], [7], [''], [undefined]])('is left out, and the other engines stay, if its container id is %j', async (id) => {
    const { api, warnings } = listing([engine(id), engine('b')])
    expect((await api.listEngines()).engines.map(({ containerId }) => containerId)).toEqual(['b'])
    expect(warnings).toEqual([['An entry of the engine list is left out', { cause: expect.stringContaining('container_id: expected') }]])
  })

  test.each([[null], [7], ['text'], [[]]])('is left out, and the other engines stay, if it is %j', async (entry) => {
    const { api, warnings } = listing([entry, engine('b')])
    expect((await api.listEngines()).engines.map(({ containerId }) => containerId)).toEqual(['b'])
    expect(warnings).toHaveLength(1)
  })

  test('is logged again if the cause changes', async () => {
    const entries = [engine('a'), engine('b', { port: null })]
    const { api, warnings } = listing(entries)
    await api.listEngines()
    entries[1] = engine('b', { host: null })
    await api.listEngines()
    expect(warnings.map(([, fields]) => fields)).toEqual([
      { containerId: 'b', cause: 'port: expected number' },
      { containerId: 'b', cause: 'host: expected string' },
    ])
  })

  test('is logged again after 1,000 other entries: the number of remembered warnings is limited', async () => {
    let round = 0
    const warnings: unknown[] = []
    const logger = { ...silentLogger, warn: (_: string, fields?: object) => void warnings.push(fields) }
    const broken = (n: number): object => engine(`broken-${n}`, { host: null })
    const transport = new StubOrchestrator(() => {
      round += 1
      return { body: [engine('a'), ...(round === 2 ? Array.from({ length: 1_000 }, (_, n) => broken(n + 1)) : [broken(0)])] }
    })
    const { api } = wire(transport, { logger })
    for (let read = 0; read < 3; read += 1) await api.listEngines()
    expect(warnings).toHaveLength(1 + 1_000 + 1)
  })

  test('is logged without the API key if its id contains the key', async () => {
    const warnings: unknown[] = []
    const logger = { ...silentLogger, warn: (_: string, fields?: object) => void warnings.push(fields) }
    const transport = new StubOrchestrator(() => ({ body: [engine('a'), engine('of-s3cret-key', { host: null })] }))
    await wire(transport, { logger, apiKey: 's3cret-key' }).api.listEngines()
    expect(warnings).toHaveLength(1)
    expect(JSON.stringify(warnings)).not.toContain('s3cret-key')
  })
})

describe('a number that is written as text', () => {
  test('is read as the port and the stream count of an engine', async () => {
    const { api, warnings } = listing([engine('a', { port: '19001', stream_count: '2' })])
    expect((await api.listEngines()).engines).toMatchObject([{ port: 19_001, streamCount: 2 }])
    expect(warnings).toEqual([])
  })

  test('is read as a count in the capacity of the status', async () => {
    const capacity = { total: '6', used: '1', available: '5', max_replicas: '6' }
    const { api } = wire(new StubOrchestrator(() => ({ body: { status: 'healthy', capacity } })))
    expect((await api.status()).capacity).toEqual({ total: 6, used: 1, available: 5, maxReplicas: 6 })
  })
})

describe('an id that is listed twice', () => {
  test('is one engine with the fields of the first entry and the streams of both, and it is draining if one entry says so', async () => {
    const { api, warnings } = listing([
      engine('a', { port: 1, streams: ['s1', 's1', 's2'] }),
      engine('b'),
      engine('a', { port: 2, streams: ['s2', 's3'], draining: true }),
    ])
    for (let read = 0; read < 2; read += 1) {
      const { engines } = await api.listEngines()
      expect(engines.map(({ containerId }) => containerId)).toEqual(['a', 'b'])
      expect(engines[0]).toMatchObject({ port: 1, streamIds: ['s1', 's2', 's3'], draining: true })
    }
    expect(warnings).toEqual([['An entry of the engine list is left out', { containerId: 'a', cause: 'listed more than once' }]])
  })

  test('is the engine of its one valid entry, even if invalid entries come first', async () => {
    const { api } = listing([engine('a', { port: -1 }), engine('a', { port: null }), engine('a')])
    expect((await api.listEngines()).engines.map(({ port }) => port)).toEqual([19_000])
  })

  test('is one stream: the live entry is used if the other has ended, otherwise the first entry', async () => {
    const streams = [
      stream('s1', 'a', { key: 'first' }),
      stream('s1', 'a', { key: 'second' }),
      stream('s2', 'a', { status: 'ended' }),
      stream('s2', 'b'),
    ]
    const { api } = listing([engine('a'), engine('b')], streams)
    const list = await api.listEngines()
    expect(list.engines.map(({ streamIds }) => streamIds)).toEqual([['s1'], ['s2']])
    expect(list.streams?.map(({ id, key, containerId }) => [id, key, containerId])).toEqual([
      ['s1', 'first', 'a'],
      ['s2', '', 'b'],
    ])
    expect((await api.listStreams({})).map(({ id, status }) => [id, status])).toEqual([
      ['s1', 'started'],
      ['s2', 'started'],
    ])
  })

  test('is load on both engines if two live entries place the same stream on two engines', async () => {
    const { api } = listing([engine('a'), engine('b')], [stream('s1', 'a'), stream('s1', 'b')])
    expect((await api.listEngines()).engines.map(({ streamIds }) => streamIds)).toEqual([['s1'], ['s1']])
  })
})

describe('a stream entry that cannot be read', () => {
  test.each([
    ['its id is null', stream(null), { containerId: 'a', cause: 'id: expected string' }],
    ['its engine is a number', stream('s2', 7), { id: 's2', cause: 'container_id: expected string' }],
    ['its status is missing', stream('s2', 'a', { status: undefined }), { id: 's2', containerId: 'a', cause: expect.any(String) }],
  ])('is left out with one warning, and the other streams stay: %s', async (_, broken, entry) => {
    const { api, warnings } = listing([engine('a'), engine('b')], [stream('s1'), broken])
    const { engines, streams, unreadable } = await api.listEngines()
    expect(engines.map(({ streamIds }) => streamIds)).toEqual([['s1'], []])
    expect(streams?.map(({ id }) => id)).toEqual(['s1'])
    expect(unreadable).toEqual({ engines: [], streams: [entry] })
    expect((await api.listStreams({})).map(({ id }) => id)).toEqual(['s1'])
    expect(warnings).toHaveLength(1)
  })
})

describe('a list without a readable entry', () => {
  test.each([
    ['engines', [engine('a', { port: null }), engine('b', { host: null })], undefined],
    ['engines of v1', [engine(null)], []],
    ['streams of v1', [engine('a')], [stream(null), stream('s1', 'a', { status: 1 })]],
  ])('is malformed, because it would look like an empty list: %s', async (_, engines, streams) => {
    const { api, warnings } = listing(engines, streams)
    expect(await rejection(api.listEngines())).toBeInstanceOf(MalformedResponseError)
    expect(warnings).toEqual([])
  })

  test('is an empty list if it has no entries', async () => {
    expect((await listing([], []).api.listEngines()).engines).toEqual([])
  })
})

describe('a pushed list', () => {
  const push = (engines: unknown, streams: unknown) => JSON.stringify({ payload: { engines, streams } })

  test('is used without the entries that cannot be read, and these are reported', () => {
    const reports: unknown[] = []
    const data = push([engine('a'), engine('b', { port: null })], [stream('s1'), stream(null)])
    const { engines, streams, unreadable } = decodePush(data, undefined, (...report) => void reports.push(report))
    expect(engines.map(({ containerId, streamIds }) => [containerId, streamIds])).toEqual([['a', ['s1']]])
    expect(streams.map(({ id }) => id)).toEqual(['s1'])
    expect(unreadable?.engines).toEqual([{ id: 'b', cause: 'port: expected number' }])
    expect(reports).toHaveLength(2)
  })

  test.each([
    ['engines', [engine('a', { port: null })], []],
    ['streams', [engine('a')], [stream(null)]],
  ])('is malformed if all its %s are unreadable', (_, engines, streams) => {
    expect(() => decodePush(push(engines, streams))).toThrow(MalformedResponseError)
  })
})
