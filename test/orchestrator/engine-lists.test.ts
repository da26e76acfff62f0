import fc from 'fast-check'
import { afterEach, expect, test, vi } from 'vitest'
import { ConnectionError, MalformedResponseError, ResponseError } from '../../src/errors.ts'
import { Mismatch } from '../../src/orchestrator/decoding.ts'
import { type EngineRecord, engineFromRecord, engineToRecord, readEngineRecord } from '../../src/orchestrator/listed-engines.ts'
import { silentLogger } from '../../src/runtime/logger.ts'
import { rejection, StubOrchestrator, wire } from './stub-orchestrator.ts'

afterEach(() => void vi.unstubAllEnvs())

const engine = (id: string, fields: object = {}): object => ({
  container_id: id,
  host: 'gluetun',
  port: 19_000,
  labels: {},
  streams: [],
  ...fields,
})
const stream = (id: string, containerId: string, status = 'started'): object => ({ id, container_id: containerId, status })

const bothLists =
  (engines: unknown, streams: unknown) =>
  ({ url }: { url: URL }) => ({ body: url.pathname.endsWith('/engines') ? engines : streams })

test('on v1 the streams of an engine come from the stream list, because the engine list has none', async () => {
  const engines = [engine('a', { stream_count: 9 }), engine('b')]
  const streams = [
    stream('s1', 'a'),
    stream('s2', 'a', 'prebuf'),
    stream('s3', '', 'allocating'),
    stream('s4', 'gone'),
    stream('s5', 'b', 'ended'),
  ]
  const { api } = wire(new StubOrchestrator(bothLists(engines, streams)), { dialect: 'v1' })
  const list = await api.listEngines()
  expect(list.engines.map((listed) => listed.streamIds)).toStrictEqual([['s1', 's2'], []])
  expect(list.engines.map((listed) => listed.streamCount)).toStrictEqual([9, 0])
})

test('on v1 both lists are requested at the same time, not one after the other', async () => {
  const gate = Promise.withResolvers<void>()
  const stub = new StubOrchestrator(async ({ url }) => {
    if (stub.requests.length === 2) gate.resolve()
    await gate.promise
    return { body: url.pathname.endsWith('/engines') ? [engine('a')] : [] }
  })
  const { api } = wire(stub, { dialect: 'v1' })
  await api.listEngines()
  expect(stub.requestLines).toStrictEqual(['GET /api/v1/engines', 'GET /api/v1/streams'])
})

test.each(['engines', 'streams'])(
  'on v1 a refresh fails if the request for the %s fails, even if the other list is answered',
  async (failing) => {
    const stub = new StubOrchestrator(({ url }) => (url.pathname.endsWith(failing) ? { status: 502 } : { body: [] }))
    const error = await rejection(wire(stub, { dialect: 'v1' }).api.listEngines())
    expect(error).toMatchObject({ name: 'ResponseError', status: 502 })
  },
)

test('on v1 a refresh whose two requests both fail leaves no unhandled rejection', async () => {
  const unhandled: unknown[] = []
  const listen = (reason: unknown): number => unhandled.push(reason)
  process.on('unhandledRejection', listen)
  const failing = { request: () => Promise.reject(Object.assign(new Error('down'), { code: 'ECONNREFUSED' })) }
  expect(await rejection(wire(failing, { dialect: 'v1' }).api.listEngines())).toBeInstanceOf(ConnectionError)
  await new Promise((resolve) => setImmediate(resolve))
  process.off('unhandledRejection', listen)
  expect(unhandled).toStrictEqual([])
})

test("v1's internal port wraps its lists in an object, so each refresh requests the stream list too", async () => {
  const engines = { engines: [engine('a', { streams: null })], total: 1 }
  const stub = new StubOrchestrator(bothLists(engines, { streams: [stream('s1', 'a')], total: 1 }))
  const { api } = wire(stub)
  for (let refresh = 0; refresh < 2; refresh++) expect((await api.listEngines()).engines[0]?.streamIds).toStrictEqual(['s1'])
  expect(stub.requestLines).toStrictEqual(['GET /engines', 'GET /streams', 'GET /engines', 'GET /streams'])
})

test("of v1's internal port both lists are requested at the same time, from the second refresh on", async () => {
  const gate = Promise.withResolvers<void>()
  const stub = new StubOrchestrator(async ({ url }) => {
    if (stub.requests.length === 4) gate.resolve()
    if (stub.requests.length > 2) await gate.promise // neither list of the second refresh is answered before both are requested
    return { body: url.pathname === '/engines' ? { engines: [engine('a', { streams: null })], total: 1 } : { streams: [], total: 0 } }
  })
  const { api } = wire(stub)
  await api.listEngines()
  await api.listEngines()
  expect(stub.requestLines).toStrictEqual(['GET /engines', 'GET /streams', 'GET /engines', 'GET /streams'])
})

test('after an orchestrator stops wrapping its lists, its engine list names the streams again, and the stream list is requested only once more', async () => {
  let engines: unknown = { engines: [engine('a', { streams: null })], total: 1 }
  const stub = new StubOrchestrator(({ url }) => ({ body: url.pathname === '/engines' ? engines : [stream('s1', 'a')] }))
  const { api } = wire(stub)
  await api.listEngines()
  engines = [engine('a', { streams: ['own'] })]
  for (let refresh = 0; refresh < 2; refresh++) expect((await api.listEngines()).engines[0]?.streamIds).toStrictEqual(['own'])
  expect(stub.requestLines.filter((line) => line === 'GET /streams')).toHaveLength(2)
})

test('a refresh from the Python generations is one request, for the engine list', async () => {
  const stub = new StubOrchestrator(() => ({ body: [engine('a', { streams: ['s1'] })] }))
  const { api } = wire(stub)
  expect((await api.listEngines()).engines[0]).toMatchObject({ streamIds: ['s1'], streamCount: 1 })
  expect(stub.requestLines).toStrictEqual(['GET /engines'])
})

test('an engine list that Go writes as null is empty if the answer says total 0, and malformed otherwise', async () => {
  const listing = (body: unknown): Promise<unknown> => {
    const stub = new StubOrchestrator(({ url }) => ({ body: url.pathname === '/engines' ? body : { streams: null, total: 0 } }))
    return wire(stub).api.listEngines()
  }
  expect(await listing({ engines: null, total: 0 })).toStrictEqual({ engines: [], streams: [] })
  for (const body of [{ engines: null, total: 3 }, { engines: null }, null])
    expect(await rejection(listing(body))).toBeInstanceOf(MalformedResponseError)
})

test.each([
  ['port -1', { port: -1 }],
  ['port 0', { port: 0 }],
  ['port 99999', { port: 99_999 }],
  ['no host', { host: '' }],
])('an engine invented by another proxy with %s is left out of the list, and the others stay', async (_, invented) => {
  const skipped: unknown[] = []
  const logger = { ...silentLogger, debug: (_message: string, fields?: object) => skipped.push(fields) }
  const body = [engine('real'), engine('invented', { ...invented })]
  const { api } = wire(new StubOrchestrator(() => ({ body })), { logger })
  expect((await api.listEngines()).engines.map((listed) => listed.containerId)).toStrictEqual(['real'])
  expect(skipped).toMatchObject([{ containerId: 'invented' }])
})

test('a descriptive field of an engine with an invalid value gets its default or is left out', async () => {
  const odd = {
    container_name: 7,
    health_status: 'sick',
    forwarded: 'yes',
    draining: null,
    vpn_container: {},
    stream_count: -2,
    labels: null,
  }
  const body = [
    engine('a', { ...odd, first_seen: 'yesterday', last_seen: 12, last_health_check: null, last_stream_usage: '0001-01-01T00:00:00Z' }),
  ]
  const { api } = wire(new StubOrchestrator(() => ({ body })))
  expect((await api.listEngines()).engines).toStrictEqual([
    {
      containerId: 'a',
      host: 'gluetun',
      port: 19_000,
      healthStatus: 'unknown',
      forwarded: false,
      draining: false,
      streamIds: [],
      streamCount: 0,
      labels: {},
    },
  ])
})

test.each([
  ['nanoseconds', '2026-11-23T22:06:57.010999248Z', '2026-11-23T22:06:57.010Z'],
  ['microseconds and an offset', '2026-11-23T15:07:51.809250+02:00', '2026-11-23T13:07:51.809Z'],
  ['whole seconds', '2026-11-23T21:45:58Z', '2026-11-23T21:45:58.000Z'],
  ['no zone, which Python writes for a naive time in UTC', '2026-11-23T15:07:51.8', '2026-11-23T15:07:51.800Z'],
])('a timestamp with %s is read correctly in any time zone of the proxy', async (_, written, meant) => {
  vi.stubEnv('TZ', 'Asia/Tokyo')
  expect(new Date(0).getTimezoneOffset()).toBe(-540)
  const { api } = wire(new StubOrchestrator(() => ({ body: [engine('a', { first_seen: written })] })))
  expect((await api.listEngines()).engines[0]?.firstSeen?.toISOString()).toBe(meant)
})

test('a caller cannot change an engine that other callers share, not even by changing one of its dates', async () => {
  const body = [engine('a', { streams: ['s1'], labels: { tier: 'gold' }, first_seen: '2026-01-01T00:00:00Z' })]
  const list = await wire(new StubOrchestrator(() => ({ body }))).api.listEngines()
  const [shared] = list.engines
  if (shared === undefined) throw new Error('no engine')
  for (const part of [list, list.engines, shared, shared.streamIds, shared.labels]) expect(Object.isFrozen(part)).toBe(true)
  shared.firstSeen?.setFullYear(1999)
  expect(shared.firstSeen?.getUTCFullYear()).toBe(2026)
  expect(Object.keys(shared)).toContain('firstSeen')
  expect(Object.keys(shared)).not.toContain('lastSeen')
})

test.each(['{"polluted":true}', '"text"'])('labels named __proto__, constructor and toString change no prototype (%s)', async (proto) => {
  const body = `[{"container_id":"a","host":"h","port":1,"labels":{"__proto__":${proto},"constructor":"x","toString":"y","n":1}}]`
  const { api } = wire(new StubOrchestrator(() => ({ body })))
  const labels = Object((await api.listEngines()).engines[0]?.labels)
  expect(Object.getPrototypeOf(labels)).toBe(Object.prototype)
  expect(Object.entries(labels)).toStrictEqual([
    ['constructor', 'x'],
    ['toString', 'y'],
  ])
  expect(Reflect.get({}, 'polluted')).toBeUndefined()
})

const text = fc.string({ minLength: 1, unit: 'binary' })
const epochMs = fc.integer({ min: -8.64e15, max: 8.64e15 })
const records: fc.Arbitrary<EngineRecord> = fc.record(
  {
    containerId: text,
    containerName: text,
    host: text,
    port: fc.integer({ min: 1, max: 65_535 }),
    healthStatus: fc.constantFrom('healthy', 'unhealthy', 'unknown'),
    forwarded: fc.boolean(),
    draining: fc.boolean(),
    vpnContainer: text,
    streamIds: fc.array(text),
    streamCount: fc.nat(),
    labels: fc.dictionary(
      text.filter((key) => key !== '__proto__'),
      fc.string(),
      { noNullPrototype: true },
    ),
    firstSeen: epochMs,
    lastSeen: epochMs,
    lastHealthCheck: epochMs,
    lastStreamUsage: epochMs,
  },
  {
    noNullPrototype: true,
    requiredKeys: ['containerId', 'host', 'port', 'healthStatus', 'forwarded', 'draining', 'streamIds', 'streamCount', 'labels'],
  },
)

test('an engine that an external cache keeps as JSON is read back unchanged', () => {
  fc.assert(
    fc.property(records, (record) => {
      const original = engineFromRecord(record)
      const revived = engineFromRecord(readEngineRecord(JSON.parse(JSON.stringify(engineToRecord(original)))))
      expect(revived).toStrictEqual(original)
      expect(engineToRecord(revived)).toStrictEqual(record)
    }),
  )
})

test.each([
  ['no container id', { containerId: '' }],
  ['a port out of range', { port: 0 }],
  ['streams that are not text', { streamIds: [1] }],
  ['a time beyond all dates', { firstSeen: 1e300 }],
  ['a time that is text', { lastSeen: '2026-01-01T00:00:00Z' }],
])('a cached engine with %s is rejected', (_, fields) => {
  const record = engineToRecord(engineFromRecord({ ...RECORD, firstSeen: 0 }))
  expect(readEngineRecord(record)).toStrictEqual(record)
  expect(() => readEngineRecord({ ...record, ...fields })).toThrow(Mismatch)
})

const RECORD: EngineRecord = {
  containerId: 'a',
  host: 'h',
  port: 1,
  healthStatus: 'healthy',
  forwarded: false,
  draining: false,
  streamIds: [],
  streamCount: 0,
  labels: {},
}

test('listStreams() also filters the answer itself, because v1 ignores the query', async () => {
  const body = [stream('s1', 'a'), stream('s2', 'b'), stream('s3', 'a', 'allocating')]
  const stub = new StubOrchestrator(() => ({ body }))
  const { api } = wire(stub, { dialect: 'v1' })
  expect((await api.listStreams({ containerId: 'a', status: 'started' })).map(({ id }) => id)).toStrictEqual(['s1'])
  expect((await api.listStreams({})).map(({ id }) => id)).toStrictEqual(['s1', 's2', 's3'])
  expect(stub.requestLines).toStrictEqual(['GET /api/v1/streams?container_id=a&status=started', 'GET /api/v1/streams'])
})

test('a list answered with 404 is an error, not an empty list', async () => {
  const { api } = wire(new StubOrchestrator(() => ({ status: 404, body: '404 page not found' })))
  expect(await rejection(api.listEngines())).toBeInstanceOf(ResponseError)
})
