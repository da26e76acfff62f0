import {
  AuthenticationError,
  CircuitOpenError,
  ClientClosedError,
  ConnectionError,
  MalformedResponseError,
  type OrchestratorError,
  RequestTimeoutError,
  ResponseError,
} from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { classifyFailure } from '../../../src/errors.ts'
import { failureOf, playback, setup } from '../../support/setup.ts'

const response = (status: number) => new ResponseError(`answered ${status}`, { status, body: '' })

describe('an attempt that failed', () => {
  it.each<[outcome: string, name: string, error: OrchestratorError]>([
    ...[400, 404, 409, 413, 422, 499].map((status): [string, string, OrchestratorError] => ['refused', `${status}`, response(status)]),
    ['refused', '401', new AuthenticationError('answered 401', { status: 401, body: '' })],
    ['refused', '403', new AuthenticationError('answered 403', { status: 403, body: '' })],
    ['refused', 'the close of the client', new ClientClosedError()],
    ...[425, 429, 503].map((status): [string, string, OrchestratorError] => ['not-processed', `${status}`, response(status)]),
    ['not-processed', 'a connection that was refused', new ConnectionError('no', { maybeProcessed: false })],
    ['not-processed', 'an open circuit', new CircuitOpenError('no', { retryAfterMs: 1 })],
    ...[408, 500, 502, 504].map((status): [string, string, OrchestratorError] => ['unknown', `${status}`, response(status)]),
    ['unknown', 'a connection that broke', new ConnectionError('no', { maybeProcessed: true })],
    ['unknown', 'a time-out', new RequestTimeoutError('no', { timeoutMs: 1 })],
    ['unknown', 'an unreadable success', new MalformedResponseError('no')],
  ])('is classified as %s after %s', (outcome, _, error) => {
    expect(classifyFailure(error).effect).toBe(outcome)
  })
})

describe('a start', () => {
  it.each([408, 500, 502, 504])('may have been applied if it is answered with %i: its end is sent', async (status) => {
    const { client, fake } = setup({ engines: 1 })
    fake.inject({ kind: 'status', status, applied: true, route: 'POST /events/stream_started' })
    const stream = await (await client.acquireEngine()).startStream(playback())
    expect(stream.state).toBe('announcing')
    expect(await stream.end()).toMatchObject({ outcome: 'delivered' })
    expect(fake.liveStreamIds()).toEqual([])
  })

  it.each([425, 429, 503])('was not applied if it is answered with %i: no end is sent', async (status) => {
    const { client, fake } = setup({ engines: 1 })
    fake.inject({ kind: 'status', status, route: 'POST /events/stream_started' })
    const stream = await (await client.acquireEngine()).startStream(playback())
    expect(stream.state).toBe('announcing')
    expect(await stream.end()).toEqual({ outcome: 'not-announced', attempts: 0 })
    expect(fake.counters.requests.byRoute['POST /events/stream_ended']).toBeUndefined()
  })

  it.each(['garbage', 'truncated', 'empty', 'oversized'] as const)(
    'may have been applied if its answer is %s: its end is sent',
    async (kind) => {
      const { client, fake } = setup({ engines: 1 })
      fake.inject({ kind, route: 'POST /events/stream_started' })
      const stream = await (await client.acquireEngine()).startStream(playback())
      expect(stream.state).toBe('announcing')
      expect(await stream.end()).toMatchObject({ outcome: 'delivered' })
      expect(fake.liveStreamIds()).toEqual([])
    },
  )

  it('leaves its id free if it is rejected: a stream of another proxy with that id counts as load', async () => {
    const { client, fake } = setup({ engines: 1 })
    const lease = await client.acquireEngine()
    fake.inject({ kind: 'status', status: 422, body: '{"detail":[]}', route: 'POST /events/stream_started' })
    await failureOf(lease.startStream({ ...playback(), streamId: 'theirs' }))
    fake.startElsewhere({ containerId: lease.engine.containerId, streamId: 'theirs' })
    await client.listEngines({ fresh: true })
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ code: 'CAPACITY' })
  })

  it('[I1] keeps its slot under the new id if the orchestrator gives its stream another id', async () => {
    const { client, fake } = setup({ engines: 1 }, { dialect: 'unversioned', cacheTtlMs: 60_000 })
    const lease = await client.acquireEngine()
    const { containerId } = lease.engine
    const body = JSON.stringify({ id: 'theirs', container_id: containerId, key_type: 'infohash', key: 'k', status: 'started' })
    fake.inject({ kind: 'status', status: 200, body, route: 'POST /events/stream_started' })
    const stream = await lease.startStream({ ...playback(), streamId: 'ours' })
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ code: 'CAPACITY' })
    fake.startElsewhere({ containerId, streamId: 'theirs' })
    await stream.end()
    await client.acquireEngine({ waitMs: 0 })
  })

  it('is rejected with ClientClosedError while the client is closing, and is not sent', async () => {
    const { client, fake, clock } = setup({ engines: 2 }, { requestTimeoutMs: 60_000 })
    await (await client.acquireEngine()).startStream(playback())
    const lease = await client.acquireEngine()
    fake.inject({ kind: 'lost-request', route: 'POST /events/stream_ended' })
    const closing = client.close({ timeoutMs: 5_000 })
    await clock.advance(1_000)
    expect(await failureOf(lease.startStream(playback('b'.repeat(40))))).toBeInstanceOf(ClientClosedError)
    await clock.advance(4_000)
    await closing
    expect(fake.counters.requests.byRoute['POST /events/stream_started']).toBe(1)
  })
})
