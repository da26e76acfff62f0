import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MalformedResponseError } from '../../src/errors.ts'
import type { OrchestratorCalls } from '../../src/orchestrator/calls.ts'
import type { Dialect } from '../../src/orchestrator/routes.ts'
import { rejection, StubOrchestrator, wire } from './stub-orchestrator.ts'

interface Method {
  call: (api: OrchestratorCalls) => Promise<unknown>
  dialect: 'auto' | Dialect
  good: unknown
  /** Paths in the good answer, each with the kind of value that it must have. */
  required: Readonly<Record<string, keyof typeof WRONG>>
}

/** Wrong values for each kind. */
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
  'resolveDialect()': {
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
  // Without the default transport: the random tests send thousands of answers, and only their decoding is tested.
  const decoding = (body: string): Promise<unknown> =>
    call(wire({ request: async () => ({ status: 200, headers: new Headers(), body }) }, { dialect }).api)

  describe(`an answer to ${name}`, () => {
    test('is accepted if it is well formed', async () => {
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
      ['a string', '"healthy"'],
      ['an empty object', '{}'],
      ['an error object with status 200', '{"error":"not found"}'],
      ['well formed only in its key __proto__', `{"__proto__":${JSON.stringify(good)}}`],
      [
        'well formed only in the key __proto__ of an entry',
        `[{"__proto__":${JSON.stringify(good)},"constructor":{"prototype":{"polluted":true}}}]`,
      ],
      ['nested too deeply', '['.repeat(200_000)],
    ])('is rejected as malformed if it is %s', async (_, body) => {
      const error = await rejection(answering(body))
      expect(error).toBeInstanceOf(MalformedResponseError)
      expect(error).toMatchObject({ status: 200, body: body.slice(0, 512) })
      expect(error).not.toHaveProperty('cause')
      expect(Reflect.get({}, 'polluted')).toBeUndefined()
    })

    test('is rejected as malformed if it has 16 MiB', async () => {
      expect(await rejection(answering(TOO_LONG))).toBeInstanceOf(MalformedResponseError)
    })

    for (const [path, kind] of Object.entries(required)) {
      test.each(WRONG[kind])(`is rejected as malformed if ${path} is %j`, async (value) => {
        expect(await rejection(answering(withAt(good, path, { value })))).toBeInstanceOf(MalformedResponseError)
      })
      // A nullable text and the streams of an engine may be missing.
      if (kind === 'nullableText' || kind === 'list' || /\d$/.test(path)) continue
      test(`is rejected as malformed if ${path} is missing`, async () => {
        expect(await rejection(answering(withAt(good, path, undefined)))).toBeInstanceOf(MalformedResponseError)
      })
    }
  })

  test(`${name} succeeds or fails with a MalformedResponseError, whatever JSON or text is answered`, async () => {
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

  test(`${name} succeeds or fails with a MalformedResponseError, whatever value replaces one field of its answer`, async () => {
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
