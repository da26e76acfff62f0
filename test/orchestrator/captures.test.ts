import { describe, expect, test } from 'vitest'
import { AuthenticationError, CapacityError, ResponseError } from '../../src/errors.ts'
import type { StartEvent } from '../../src/model/stream.ts'
import type { Dialect } from '../../src/orchestrator/routes.ts'
import { WireClock } from '../support/msw.ts'
import { bodyText, GENERATIONS, type Row, rowsOf } from './captured.ts'
import * as expected from './expectations.ts'
import { recordedEnd, recordedStart } from './recorded-events.ts'
import { rejection, StubOrchestrator, type Wire, wire } from './stub-orchestrator.ts'

interface Exchange {
  call: Promise<unknown>
  /** The result that the client must return for a success. */
  expectation: () => unknown
}

/** The breaker of v1 has been open for 40 s at this time; its status was recorded when it had been open for 2 s. */
const clock = new WireClock(Date.parse('2026-11-23T21:46:38Z'))
const SESSION = { playbackSessionId: 'ps', statUrl: 'http://e/stat', commandUrl: 'http://e/cmd', isLive: true }
const START: StartEvent = { streamId: 's', address: { host: 'e', port: 1 }, keyType: 'infohash', key: 'k', session: SESSION, labels: {} }
const PROVISION = 'POST /provision/acestream'

const dialectOf = (row: Row): Dialect => (row.request.path.startsWith('/api/v1/') ? 'v1' : 'unversioned')
const routeOf = (row: Row): string => `${row.request.method} ${row.request.path.replace(/^\/api\/v1/, '').replace(/\?.*/, '')}`
const isSuccess = (row: Row): boolean => row.response.status >= 200 && row.response.status <= 299
const titleOf = (row: Row): string =>
  `${row.name}: ${row.request.method} ${row.request.path}${row.port === 8083 ? ' on 8083' : ''} answers ${row.response.status}`

/** The replays so far: the test of an answer and the test of its request share one replay. */
const replayed = new Map<Row, Exchange & { stub: StubOrchestrator }>()

/**
 * Replays one recorded exchange through the client and its default transport, at most once. It calls the method that makes this request,
 * or the requester if no method does.
 */
function replay(row: Row): Exchange & { stub: StubOrchestrator } {
  const exchange = replayed.get(row) ?? exchangeOf(row)
  replayed.set(row, exchange)
  return exchange
}

function exchangeOf(row: Row): Exchange & { stub: StubOrchestrator } {
  const { status, contentType } = row.response
  const date = new Date(clock.now()).toUTCString()
  const answer = { status, headers: { date, ...(contentType === null ? {} : { 'content-type': contentType }) }, body: bodyText(row) }
  const stub = new StubOrchestrator((request) => {
    // A refresh of the engine list also requests the stream list. That exchange is recorded separately and has its own test.
    const isStreamList = routeOf(row) === 'GET /engines' && request.url.pathname.endsWith('/streams')
    return isStreamList ? { body: row.port === 8083 ? { streams: [], total: 0 } : [] } : answer
  })
  const parts = wire(stub, { dialect: dialectOf(row), clock })
  return { ...(knownExchange(parts.api, row) ?? otherExchange(parts.requester, row)), stub }
}

function knownExchange(api: Wire['api'], row: Row): Exchange | undefined {
  const { body } = row.response
  switch (routeOf(row)) {
    case 'GET /engines': {
      const engines = Array.isArray(body) ? body : expected.listAt(body, 'engines')
      return {
        call: api.listEngines().then(({ engines }) => ({ engines })),
        expectation: () => ({ engines: engines.map((engine) => expected.expectedEngine(engine, expected.listAt(engine, 'streams'))) }),
      }
    }
    case 'GET /streams': {
      const { status, container_id: containerId } = Object.fromEntries(new URL(row.request.path, 'http://recorded').searchParams)
      if (status !== undefined && status !== 'started' && status !== 'ended') return undefined
      const streams = (Array.isArray(body) ? body : expected.listAt(body, 'streams')).map(expected.expectedStream)
      return {
        call: api.listStreams({ ...(status === undefined ? {} : { status }), ...(containerId === undefined ? {} : { containerId }) }),
        // v1 ignores the filter and answers with all streams.
        expectation: () =>
          streams.filter(
            (stream) =>
              stream['status'] === (status ?? stream['status']) && stream['containerId'] === (containerId ?? stream['containerId']),
          ),
      }
    }
    case 'POST /events/stream_started':
      return { call: api.startStream(recordedStart(row.request.body)?.event ?? START), expectation: () => expected.expectedStart(body) }
    case 'POST /events/stream_ended':
      return { call: api.endStream(recordedEnd(row.request.body) ?? { streamId: 's' }), expectation: () => expected.expectedEnd(body) }
    case PROVISION:
      return { call: api.provision({}), expectation: () => expected.expectedProvision(body) }
    case 'GET /orchestrator/status':
      return { call: api.status(), expectation: () => expected.expectedHealth(body) }
    case 'GET /circuit-breaker':
      return { call: api.circuitBreaker(), expectation: () => expected.expectedBreaker(body, clock.now()) }
    default:
      return undefined
  }
}

function otherExchange(requester: Wire['requester'], row: Row): Exchange {
  const { pathname, searchParams } = new URL(row.request.path, 'http://recorded')
  const query = Object.fromEntries(searchParams)
  return {
    call: requester
      .send({ route: 'recorded', method: row.request.method, path: pathname.slice(1), query })
      .then(({ location: _, ...answer }) => answer),
    expectation: () => ({ status: row.response.status, headers: expect.any(Headers), body: bodyText(row) }),
  }
}

test('the three recordings have 1251 exchanges: 391, 390 and 470', () => {
  expect(GENERATIONS.map((generation) => rowsOf(generation).length)).toStrictEqual([391, 390, 470])
})

for (const generation of GENERATIONS) {
  const rows = rowsOf(generation)

  describe(`a recorded success of ${generation} becomes the right result`, () => {
    for (const row of rows.filter(isSuccess)) {
      test(titleOf(row), async () => {
        const { call, expectation } = replay(row)
        expect(await call).toStrictEqual(expectation())
      })
    }
  })

  describe(`a recorded error of ${generation} becomes the right error of the client`, () => {
    for (const row of rows.filter((recorded) => !isSuccess(recorded))) {
      test(titleOf(row), async () => {
        const { status, body } = row.response
        const answered = { status, body: bodyText(row).slice(0, 512) }
        const error = await rejection(replay(row).call)
        if (routeOf(row) === PROVISION && status >= 500) {
          expect(error).toBeInstanceOf(CapacityError)
          expect(error).toMatchObject({ ...expected.expectedRefusal(body), cause: answered })
        } else {
          expect(error).toMatchObject(answered)
          expect(Object(error).constructor).toBe(status === 401 || status === 403 ? AuthenticationError : ResponseError)
        }
      })
    }
  })

  describe(`a recorded request that ${generation} accepted is sent by the client too, with additional ids`, () => {
    for (const row of rows.filter((recorded) => isSuccess(recorded) && recorded.request.method === 'POST')) {
      const start = routeOf(row) === 'POST /events/stream_started' ? recordedStart(row.request.body) : undefined
      if (start !== undefined) {
        test(titleOf(row), async () => {
          const { call, stub } = replay(row)
          await call
          const { streamId, containerId } = start.event
          expect(stub.sentBody()).toStrictEqual({
            ...start.request,
            content_id: streamId,
            ...(containerId === undefined ? {} : { engine_id: containerId }),
          })
        })
      }
      const end = routeOf(row) === 'POST /events/stream_ended' ? recordedEnd(row.request.body) : undefined
      if (end !== undefined) {
        test(titleOf(row), async () => {
          const { call, stub } = replay(row)
          await call
          const { streamId, reason } = end
          const fenced = { content_id: streamId, stream_id: streamId, container_id: `stream:${streamId}` }
          expect(stub.sentBody()).toStrictEqual(reason === undefined ? fenced : { ...fenced, reason })
        })
      }
    }
  })
}
