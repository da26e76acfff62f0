import { inspect } from 'node:util'
import { OrchestratorClient } from 'acestream-orchestrator-client'
import { FakeOrchestrator, ManualClock } from 'acestream-orchestrator-client/testing'
import { expect, it } from 'vitest'
import { connect, playback, setup } from '../support/setup.ts'

const KEY = 'a-key-that-nobody-may-see'

it('console.log(client) shows its URL, generation, circuit and counts of leases, streams and events, and never the key', async () => {
  const clock = new ManualClock()
  const fake = new FakeOrchestrator({ clock, apiKey: KEY, generation: 'v1' })
  const client = connect(fake, clock, { apiKey: KEY, watch: false })
  expect(inspect(client, { breakLength: Number.POSITIVE_INFINITY })).toBe(
    "OrchestratorClient { baseUrl: 'http://orchestrator.test/', generation: 'not known yet', circuit: 'closed', leases: 0, waiting: 0, streams: 0, pendingEvents: 0, isClosed: false }",
  )
  await client.acquireEngine()
  const stream = await (await client.acquireEngine()).startStream(playback())
  expect(inspect(client)).toMatch(/generation: 'v1'[\s\S]*leases: 1,[\s\S]*streams: 1,/)
  for (const shown of [client, { deep: { in: { an: { object: client } } } }, stream]) {
    expect(inspect(shown, { depth: 10, showHidden: true })).not.toContain(KEY)
  }
  expect(inspect({ a: { b: { c: client } } }, { depth: 2 })).toContain('[OrchestratorClient]')
  expect(Object.keys(client)).toEqual([])
  await client.close()
  expect(inspect(client)).toContain('isClosed: true')
})

it('console.log() of a lease or a stream shows its id, engine and state, and no internal fields', async () => {
  const { client } = setup({ engines: [{ host: 'engine-1', port: 6878 }] })
  const lease = await client.acquireEngine()
  expect(inspect(lease)).toMatch(
    /^EngineLease \{\n {2}id: '.*',\n {2}engine: \{[\s\S]*host: 'engine-1',[\s\S]*\},\n {2}expiresAt: 2026-.*,\n {2}isFallback: false\n\}$/,
  )
  const stream = await lease.startStream(playback())
  expect(inspect(stream)).toMatch(
    /^StreamHandle \{\n {2}id: '.*',\n {2}engine: \{[\s\S]*host: 'engine-1',[\s\S]*\},\n {2}state: 'live'\n\}$/,
  )
  await stream.end()
  expect(inspect(stream)).toContain("state: 'ended'")
})

it('JSON.stringify() of the client, a lease, a stream and a viewer has the fields that console.log() shows', async () => {
  const { client } = setup({ engines: [{ host: 'engine-1', port: 6878 }] })
  const lease = await client.acquireEngine()
  const json = (value: object): unknown => JSON.parse(JSON.stringify(value))
  expect(json(client)).toMatchObject({ baseUrl: 'http://orchestrator.test/', circuit: 'closed', leases: 1, streams: 0 })
  expect(Object.keys(json(lease) as object)).toEqual(['id', 'engine', 'expiresAt', 'isFallback'])
  expect(json(lease)).toMatchObject({ id: lease.id, engine: { host: 'engine-1' }, expiresAt: lease.expiresAt.toISOString() })
  const stream = await lease.startStream(playback())
  expect(json(stream)).toEqual({ id: stream.id, engine: stream.engine, state: 'live' })
  await stream.end()
  const { key, keyType, session } = playback()
  const viewer = await client.joinStream({ key, keyType, open: () => ({ session, playback: { secret: 'of the host' } }) })
  expect(json(viewer)).toEqual({ stream: { id: viewer.stream.id, engine: viewer.stream.engine, state: 'live' }, isFirst: true })
})

it('JSON.stringify() of an error has its message, which loggers that write JSON need', async () => {
  const { client, fake } = setup({}, { retry: { attempts: 1 }, dialect: 'unversioned' })
  fake.inject({ kind: 'refused' })
  const error = await client.listEngines().catch((thrown: Error) => thrown)
  expect(JSON.parse(JSON.stringify({ error }))).toEqual({
    error: {
      name: 'ConnectionError',
      code: 'CONNECTION',
      message: (error as Error).message,
      retryable: true,
      maybeProcessed: false,
      url: 'http://orchestrator.test/engines',
      dialect: 'unversioned',
    },
  })
})

it('JSON.stringify() of a failed playback has the message of each engine, and of the errors of the host nothing else', async () => {
  const { client } = setup({ engines: 2 })
  const { key, keyType } = playback()
  const thrown = [Object.assign(new TypeError('fetch failed'), { request: { headers: { cookie: 's3cr3t' } } }), 'no video']
  const circular = Object(thrown[0])
  circular.self = circular
  const open = () => Promise.reject(thrown.shift())
  const error = await client.openStream({ key, keyType, open }).catch((failure: Error) => failure)
  const json = JSON.parse(JSON.stringify(error))
  expect(json).toMatchObject({ name: 'PlaybackError', code: 'PLAYBACK_FAILED', message: (error as Error).message })
  expect(json.attempts).toEqual([
    { containerId: expect.any(String), error: { name: 'TypeError', message: 'fetch failed' } },
    { containerId: expect.any(String), error: 'no video' },
  ])
  expect((error as { attempts?: unknown }).attempts).toMatchObject([{ error: circular }, { error: 'no video' }])
})

it('a class of the host that extends the client may have JSON of its own', () => {
  class Named extends OrchestratorClient {
    readonly toJSON = (): string => 'the client of the stadium'
  }
  expect(JSON.stringify(new Named({ baseUrl: 'https://host' }))).toBe('"the client of the stadium"')
})

it('a lease on the fallback engine and its stream are shown in the same way', async () => {
  const { client, fake } = setup({}, { fallbackEngine: { host: 'fallback', port: 1 }, retry: { attempts: 1 } })
  fake.inject({ kind: 'refused', times: Number.POSITIVE_INFINITY })
  const lease = await client.acquireEngine()
  expect(inspect(lease)).toMatch(/^EngineLease \{[\s\S]*host: 'fallback',[\s\S]*isFallback: true\n\}$/)
  expect(inspect(await lease.startStream(playback()))).toMatch(/^StreamHandle \{[\s\S]*host: 'fallback'[\s\S]*state: 'live'\n\}$/)
})

it('console.log(client) shows the path of its baseUrl, and that its circuit stays closed, if it has no circuit breaker', () => {
  const client = new OrchestratorClient({ baseUrl: 'https://host/prefix', circuitBreaker: false })
  expect(inspect(client, { breakLength: Number.POSITIVE_INFINITY })).toBe(
    "OrchestratorClient { baseUrl: 'https://host/prefix', generation: 'not known yet', circuit: 'closed', leases: 0, waiting: 0, streams: 0, pendingEvents: 0, isClosed: false }",
  )
})
