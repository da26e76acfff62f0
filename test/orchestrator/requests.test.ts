import { describe, expect, test } from 'vitest'
import { InvalidArgumentError, MalformedResponseError, ResponseError } from '../../src/errors.ts'
import { VERSION } from '../../src/version.ts'
import { rejection, StubOrchestrator, wire } from './stub-orchestrator.ts'

const AGENT = `acestream-orchestrator-client/${VERSION}`
const ODD_IDS = ['a/b', 'a?b', 'a#b', 'a b', 'a%2Fb', '..', '../../admin', 'über', '漢字', '&x=1', 'a+b', "';--", '|', '\u0000']
const SESSION = { playbackSessionId: 'p', statUrl: 'http://e/s', commandUrl: 'http://e/c', isLive: true }

describe('an id with special characters', () => {
  test.each(ODD_IDS)('is sent unchanged as the container id of a query: %j', async (containerId) => {
    const stub = new StubOrchestrator(() => ({ body: [] }))
    await wire(stub).api.listStreams({ containerId, status: 'started' })
    const url = stub.requests[0]?.url
    expect(url?.pathname).toBe('/streams')
    expect(url?.hash).toBe('')
    expect([...(url?.searchParams ?? [])]).toStrictEqual([
      ['container_id', containerId],
      ['status', 'started'],
    ])
  })

  test.each(ODD_IDS)('is sent unchanged as the stream id, container id and host of an event: %j', async (id) => {
    const stub = new StubOrchestrator(({ url }) => ({
      body: url.pathname.endsWith('ended') ? { status: 'ended' } : { id, container_id: id },
    }))
    const { api } = wire(stub)
    const event = {
      streamId: id,
      containerId: id,
      address: { host: id, port: 1 },
      keyType: 'magnet',
      key: id,
      session: SESSION,
      labels: { x: id },
    } as const
    expect(await api.startStream(event)).toStrictEqual({ streamId: id, containerId: id })
    await api.endStream({ streamId: id, reason: id })
    expect(stub.requestLines).toStrictEqual(['POST /events/stream_started', 'POST /events/stream_ended'])
    expect(stub.sentBody(0)).toMatchObject({
      content_id: id,
      container_id: id,
      engine: { host: id, port: 1 },
      labels: { x: id, stream_id: id },
    })
    expect(stub.sentBody(1)).toStrictEqual({ content_id: id, stream_id: id, container_id: `stream:${id}`, reason: id })
  })
})

test.each(['..', '../admin', 'engines/..', '%2e%2e/x', 'a/%2E/b', 'a?b', 'a#b'])(
  'a request is rejected and not sent if URL parsing would change its path %j',
  async (path) => {
    const stub = new StubOrchestrator(() => ({}))
    expect(await rejection(wire(stub).requester.send({ route: 'GET /x', method: 'GET', path }))).toBeInstanceOf(InvalidArgumentError)
    expect(stub.requests).toHaveLength(0)
  },
)

test.each(['/evil.test/x', '//evil.test', 'http://evil.test/x', '@evil.test', '\\\\evil.test'])(
  'a request with the path %j is sent to the orchestrator or not at all',
  async (path) => {
    const stub = new StubOrchestrator(() => ({}))
    await wire(stub)
      .requester.send({ route: 'GET /x', method: 'GET', path })
      .catch(() => {})
    expect(stub.requests.map(({ url }) => url.origin)).toStrictEqual(stub.requests.map(() => 'http://orchestrator.test:8000'))
    expect(stub.requests.length).toBeLessThanOrEqual(1)
  },
)

test('a path prefix of the base URL is kept; its credentials, query and hash are not', async () => {
  const stub = new StubOrchestrator(() => ({ body: [] }))
  const { requester } = wire(stub, { baseUrl: new URL('https://user:pass@proxy.test/orch/?a=b#c') })
  await requester.send({ route: 'GET /engines', method: 'GET', path: 'engines' })
  expect(stub.requests[0]?.url.href).toBe('https://proxy.test/orch/engines')
  expect(requester.baseUrl.pathname).toBe('/orch/')
})

test('each request has the headers accept, user-agent and authorization, and content-type if it has a body', async () => {
  const stub = new StubOrchestrator(({ url }) => ({ body: url.pathname === '/streams' ? [] : { container_id: 'a' } }))
  const { api } = wire(stub, { apiKey: 'testkey' })
  await api.listStreams({})
  await api.provision({})
  await api.provision({ labels: { a: 'b' }, env: { C: 'd' } })
  const accept = { accept: 'application/json', 'user-agent': AGENT, authorization: 'Bearer testkey' }
  expect(stub.requests.map(({ headers }) => headers)).toStrictEqual([
    accept,
    { ...accept, 'content-type': 'application/json' },
    { ...accept, 'content-type': 'application/json' },
  ])
  expect(stub.requests.map(({ body }) => body)).toStrictEqual([undefined, '{}', '{"labels":{"a":"b"},"env":{"C":"d"}}'])
})

test.each([undefined, ''])('without a key (%j) no authorization is sent', async (apiKey) => {
  const stub = new StubOrchestrator(() => ({ body: [] }))
  await wire(stub, { apiKey }).api.listStreams({})
  expect(stub.requests[0]?.headers).toStrictEqual({ accept: 'application/json', 'user-agent': AGENT })
})

test('a start on an engine with an unknown container id is sent without a container id, not with an empty one', async () => {
  const stub = new StubOrchestrator(() => ({ body: { id: 's', container_id: '' } }))
  await wire(stub).api.startStream({
    streamId: 's',
    address: { host: 'h', port: 1 },
    keyType: 'url',
    key: 'k',
    session: { ...SESSION, isLive: false },
    labels: { stream_id: 'another' },
  })
  expect(stub.sentBody()).toStrictEqual({
    content_id: 's',
    engine: { host: 'h', port: 1 },
    stream: { key_type: 'url', key: 'k' },
    session: { playback_session_id: 'p', stat_url: 'http://e/s', command_url: 'http://e/c', is_live: 0 },
    labels: { stream_id: 's' },
  })
})

test.each([301, 302, 303, 307, 308, 404, 418, 599])('status %i is an error with its status', async (status) => {
  const error = await rejection(wire(new StubOrchestrator(() => ({ status, body: 'why' }))).api.listEngines())
  expect(error).toBeInstanceOf(ResponseError)
  expect(error).toMatchObject({ status, body: 'why' })
})

test('status 304, which has no body, is an error with its status', async () => {
  const error = await rejection(wire(new StubOrchestrator(() => ({ status: 304 }))).api.listEngines())
  expect(error).toBeInstanceOf(ResponseError)
  expect(error).toMatchObject({ status: 304, body: '' })
})

test('status 204, which has no body, is malformed as an engine list', async () => {
  const error = await rejection(wire(new StubOrchestrator(() => ({ status: 204 }))).api.listEngines())
  expect(error).toBeInstanceOf(MalformedResponseError)
  expect(error).toMatchObject({ status: 204, body: '' })
})

test('status 100 is an error with its status if the transport passes it on; fetch fails without a status', async () => {
  const transport = { request: async () => ({ status: 100, headers: new Headers(), body: 'why' }) }
  expect(await rejection(wire(transport).api.listEngines())).toMatchObject({ name: 'ResponseError', status: 100, body: 'why' })
  const stub = new StubOrchestrator(() => ({ status: 100 }))
  expect(await rejection(wire(stub).api.listEngines())).toMatchObject({ name: 'ConnectionError', maybeProcessed: true })
})

test.each([200, 201, 202, 299])('status %i is a success', async (status) => {
  expect(await wire(new StubOrchestrator(() => ({ status, body: [] }))).api.listEngines()).toStrictEqual({ engines: [] })
})

test('onRequest is called with the route of each attempt, and onFailure with the route of each failed attempt', async () => {
  const seen: string[] = []
  const stub = new StubOrchestrator(({ method }) => (method === 'GET' ? { body: [] } : { status: 500 }))
  const { api } = wire(stub, {
    dialect: 'v1',
    onRequest: (route) => seen.push(route),
    onFailure: (route, error) => seen.push(`${route} failed: ${Object(error).name}`),
  })
  await api.listStreams({ containerId: 'secret' })
  await rejection(api.endStream({ streamId: 's' }))
  await rejection(api.provision({}))
  expect(seen).toStrictEqual([
    'GET /streams',
    'POST /events/stream_ended',
    'POST /events/stream_ended failed: ResponseError',
    'POST /provision/acestream',
    'POST /provision/acestream failed: CapacityError',
  ])
})
