import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MalformedResponseError } from '../../src/errors.ts'
import type { OrchestratorApi } from '../../src/orchestrator/api.ts'
import type { Dialect } from '../../src/orchestrator/dialects.ts'
import { rejection, StubOrchestrator, wire } from './stub-orchestrator.ts'

interface Method {
  call: (api: OrchestratorApi) => Promise<unknown>
  dialect: 'auto' | Dialect
  good: unknown
  /** What in the good answer must be of its kind. */
  required: Readonly<Record<string, keyof typeof WRONG>>
}

/** Values that are not of a kind. */
const WRONG = {
  id: ['', 1, null, true, {}, []],
  text: [1, null, true, {}, []],
  nullableText: [1, true, {}, []],
  port: [1.5, 'one', '1.5', '', null, true, {}],
  list: [1, 'a', true, {}],
  flag: [1, 'true', null, {}],
  object: [1, 'a', true, []],
}

const SESSION = { playbackSessionId: 'p', statUrl: 'http://e/s', commandUrl: 'http://e/c', isLive: false }
const ENGINE = { container_id: 'a', host: 'h', port: 1, streams: ['s1'], draining: false }
const STREAM = { id: 's1', container_id: 'a', status: 'started', key: 'k' }

const METHODS: Readonly<Record<string, Method>> = {
  'listEngines()': {
    call: (api) => api.listEngines(),
    dialect: 'unversioned',
    good: [ENGINE],
    required: { 0: 'object', '0.container_id': 'id', '0.host': 'text', '0.port': 'port', '0.streams': 'list', '0.streams.0': 'text' },
  },
  'listEngines() of v1': {
    call: (api) => api.listEngines(),
    dialect: 'v1',
    good: [{ ...ENGINE, ...STREAM }],
    required: { 0: 'object', '0.container_id': 'id', '0.id': 'id' },
  },
  'the question for the dialect': {
    call: (api) => api.resolveDialect(),
    dialect: 'auto',
    good: [ENGINE],
    required: { 0: 'object', '0.container_id': 'id', '0.host': 'text', '0.port': 'port', '0.streams': 'list', '0.streams.0': 'text' },
  },
  'listStreams()': {
    call: (api) => api.listStreams({}),
    dialect: 'unversioned',
    good: [STREAM],
    required: { 0: 'object', '0.id': 'id', '0.status': 'text', '0.container_id': 'nullableText', '0.key': 'nullableText' },
  },
  'startStream()': {
    call: (api) =>
      api.startStream({ streamId: 's1', address: { host: 'h', port: 1 }, keyType: 'infohash', key: 'k', session: SESSION, labels: {} }),
    dialect: 'unversioned',
    good: { id: 's1', container_id: 'a' },
    required: { id: 'id', container_id: 'text' },
  },
  'endStream()': {
    call: (api) => api.endStream({ streamId: 's1' }),
    dialect: 'unversioned',
    good: { updated: true, stream: { id: 's1' } },
    required: { updated: 'flag', stream: 'object', 'stream.id': 'id' },
  },
  'endStream() of v1': {
    call: (api) => api.endStream({ streamId: 's1' }),
    dialect: 'v1',
    good: { status: 'ended' },
    required: { status: 'id' },
  },
  'provision()': {
    call: (api) => api.provision({}),
    dialect: 'unversioned',
    good: { container_id: 'a' },
    required: { container_id: 'id' },
  },
  'provision() of v1': { call: (api) => api.provision({}), dialect: 'v1', good: { status: 'provisioning' }, required: { status: 'id' } },
  'status()': {
    call: (api) => api.status(),
    dialect: 'unversioned',
    good: { status: 'healthy', provisioning: { can_provision: true } },
    required: { status: 'text' },
  },
  'circuitBreaker()': {
    call: (api) => api.circuitBreaker(),
    dialect: 'v1',
    good: { general: { state: 'closed' } },
    required: { general: 'object', 'general.state': 'text' },
  },
}

const TOO_LONG = `[${' '.repeat(16 * 1_024 * 1_024)}]`

/** A copy of `value` with another value, or none, at a dotted path. */
function withAt(value: unknown, path: string, replacement: { value: unknown } | undefined): unknown {
  const copy: unknown = structuredClone(value)
  const keys = path.split('.')
  const last = keys.pop() ?? ''
  const parent = Object(keys.reduce<unknown>((found, key) => Reflect.get(Object(found), key), copy))
  if (replacement === undefined) Reflect.deleteProperty(parent, last)
  else Reflect.set(parent, last, replacement.value)
  return copy
}

for (const [name, { call, dialect, good, required }] of Object.entries(METHODS)) {
  const answering = (body: unknown): Promise<unknown> => call(wire(new StubOrchestrator(() => ({ body })), { dialect }).api)
  // Thousands of answers, whose text has passed the default transport in the tests above: only decoding is left to test.
  const decoding = (body: string): Promise<unknown> =>
    call(wire({ request: async () => ({ status: 200, headers: new Headers(), body }) }, { dialect }).api)

  describe(`${name} takes no bad answer for a good one`, () => {
    test('but a good one for a good one', async () => {
      await expect(answering(good)).resolves.toBeDefined()
    })

    test.each([
      ['empty', ''],
      ['blank', '  \n'],
      ['plain text', 'Internal Server Error'],
      ['a web page', '<!doctype html><title>502 Bad Gateway</title>'],
      ['cut off', JSON.stringify(good).slice(0, -1)],
      ['null', 'null'],
      ['a number', '42'],
      ['text', '"healthy"'],
      ['an empty object', '{}'],
      ['an error in disguise', '{"error":"not found"}'],
      ['good only by its prototype', `{"__proto__":${JSON.stringify(good)}}`],
      ['good only by the prototype of an entry', `[{"__proto__":${JSON.stringify(good)},"constructor":{"prototype":{"polluted":true}}}]`],
      ['nested too deeply', '['.repeat(200_000)],
    ])('an answer that is %s', async (_, body) => {
      const error = await rejection(answering(body))
      expect(error).toBeInstanceOf(MalformedResponseError)
      expect(error).toMatchObject({ status: 200, body: body.slice(0, 512) })
      expect(error).not.toHaveProperty('cause')
      expect(Reflect.get({}, 'polluted')).toBeUndefined()
    })

    test('an answer of 16 MiB', async () => {
      expect(await rejection(answering(TOO_LONG))).toBeInstanceOf(MalformedResponseError)
    })

    for (const [path, kind] of Object.entries(required)) {
      test.each(WRONG[kind])(`an answer whose ${path} is %j`, async (value) => {
        expect(await rejection(answering(withAt(good, path, { value })))).toBeInstanceOf(MalformedResponseError)
      })
      // A nullable text may be missing too, and so may the streams of an engine.
      if (kind === 'nullableText' || kind === 'list' || /\d$/.test(path)) continue
      test(`an answer without ${path}`, async () => {
        expect(await rejection(answering(withAt(good, path, undefined)))).toBeInstanceOf(MalformedResponseError)
      })
    }
  })

  test(`${name} fails with an error of ours whatever JSON it is answered`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.json(),
          fc.jsonValue().map((value) => JSON.stringify(value)),
          fc.string(),
        ),
        async (body) => {
          const outcome = await decoding(body).catch((error: unknown) => error)
          expect(!(outcome instanceof Error) || outcome instanceof MalformedResponseError).toBe(true)
        },
      ),
    )
  })

  test(`${name} fails with an error of ours whatever stands in one place of its answer`, async () => {
    const places = fc.constantFrom(...Object.keys(required), ...Object.keys(Object(good)))
    await fc.assert(
      fc.asyncProperty(places, fc.option(fc.record({ value: fc.jsonValue() }), { nil: undefined }), async (path, replacement) => {
        const outcome = await decoding(JSON.stringify(withAt(good, path, replacement)) ?? '').catch((error: unknown) => error)
        expect(!(outcome instanceof Error) || outcome instanceof MalformedResponseError).toBe(true)
      }),
    )
  })
}

test('the error for a list without a readable entry names the first entry and its wrong field, and quotes the beginning of the body', async () => {
  const body = JSON.stringify([
    { ...ENGINE, port: 'http' },
    { ...ENGINE, host: null },
  ])
  const error = await rejection(wire(new StubOrchestrator(() => ({ body }))).api.listEngines())
  expect(error).toMatchObject({
    message: 'GET http://orchestrator.test:8000/engines (unversioned): malformed answer: 0.port: expected number',
    status: 200,
    body,
  })
})
