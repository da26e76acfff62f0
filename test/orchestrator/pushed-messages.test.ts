import { describe, expect, test } from 'vitest'
import { MalformedResponseError } from '../../src/errors.ts'
import { decodePush } from '../../src/orchestrator/wire-lists.ts'
import { rowsOf } from './captured.ts'
import { at, expectedEngine, expectedStream, listAt, nanoseconds } from './expectations.ts'

/** The data of the first event of a recorded event stream; `undefined` for a comment. */
const dataOf = (body: unknown): string | undefined => /^data: (.*)$/m.exec(String(body))?.[1]

const messages = rowsOf('go-v1').filter(({ name, response }) => name.startsWith('07-sse/') && dataOf(response.body) !== undefined)

describe('a recorded message that v1 pushed', () => {
  for (const { name, response } of messages) {
    test(`is decoded to the same lists as a refresh: ${name}`, () => {
      const data = dataOf(response.body) ?? ''
      const payload = at(JSON.parse(data), 'payload')
      const streams = listAt(payload, 'streams')
      const idsOn = (engine: unknown): unknown[] =>
        streams.filter((stream) => at(stream, 'container_id') === at(engine, 'container_id')).map((stream) => at(stream, 'id'))
      expect(decodePush(data)).toStrictEqual({
        engines: listAt(payload, 'engines').map((engine) => expectedEngine(engine, idsOn(engine))),
        streams: streams.map(expectedStream),
        isInitial: at(at(JSON.parse(data), 'meta'), 'reason') !== 'state_change',
        takenAtNs: nanoseconds(at(payload, 'timestamp')),
      })
    })
  }

  test('exists three times, once with a stream', () => {
    const counts = messages.map(
      ({ response }) => decodePush(dataOf(response.body) ?? '').engines.flatMap(({ streamIds }) => streamIds).length,
    )
    expect(counts).toStrictEqual([0, 0, 1])
  })
})

test('pushed lists that Go writes as null are empty if the message says engines_total 0', () => {
  expect(decodePush('{"payload":{"engines":null,"engines_total":0,"streams":null}}')).toStrictEqual({
    engines: [],
    streams: [],
    isInitial: true,
  })
})

test('an engine with an invalid port is left out of a pushed list too', () => {
  const engines = [{ container_id: 'a', host: 'h', port: -1 }]
  expect(decodePush(JSON.stringify({ payload: { engines, streams: [] } })).engines).toStrictEqual([])
})

test.each([
  '',
  'not json',
  'null',
  '[]',
  '{}',
  '{"payload":null}',
  '{"payload":{"engines":[]}}',
  '{"payload":{"engines":null,"streams":[]}}',
  '{"payload":{"engines":[{"container_id":"a","host":"h"}],"streams":[]}}',
  '{"payload":{"engines":[],"streams":[{"id":""}]}}',
])('a pushed message %j is malformed', (data) => {
  expect(() => decodePush(data)).toThrow(MalformedResponseError)
})

test('a pushed message of 16 MiB is malformed', () => {
  const data = `{"payload":{"engines":[],"streams":[]}${' '.repeat(16 * 1_024 * 1_024)}}`
  expect(() => decodePush(data)).toThrow(MalformedResponseError)
})
