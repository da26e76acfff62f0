import fc from 'fast-check'
import * as v from 'valibot'
import { describe, expect, it, test } from 'vitest'
import { MalformedResponseError } from '../../src/errors.ts'
import { decode } from '../../src/orchestrator/answers.ts'
import { readEndAnswer, readProvisionAnswer, readStartAnswer } from '../../src/orchestrator/bodies.ts'
import type { Decoder } from '../../src/orchestrator/decoding.ts'
import { readHealth, readProvisioningBreaker } from '../../src/orchestrator/health.ts'
import { readEngineRecord } from '../../src/orchestrator/listed-engines.ts'
import { parseTimestamp } from '../../src/orchestrator/timestamps.ts'
import { readEngineList, readPush, readStreamList } from '../../src/orchestrator/wire-lists.ts'
import { bodyText, GENERATIONS, rowsOf } from './captured.ts'
import * as reference from './reference-schemas.ts'

/** What a reader returned, or the mismatch that it named. `startedAtUs` is not enumerable. */
type Outcome = { output: unknown; hidden: unknown } | { mismatch: string }

const hiddenOf = (output: unknown): unknown =>
  Object(output).entries?.map?.((entry: object) => Object.getOwnPropertyDescriptor(entry, 'startedAtUs')?.value)

function byHand(text: string, read: Decoder<unknown>): Outcome {
  try {
    const output = decode({ label: 'answer', body: text, redact: (shown) => shown }, read)
    return { output, hidden: hiddenOf(output) }
  } catch (error) {
    if (!(error instanceof MalformedResponseError)) throw error
    return { mismatch: error.message.replace('answer: malformed answer: ', '') }
  }
}

function bySchema(text: string, schema: v.GenericSchema): Outcome {
  const result = v.safeParse(schema, JSON.parse(text), { abortEarly: true, abortPipeEarly: true })
  if (!result.success) return { mismatch: reference.expectation(result.issues[0], 'body') }
  return { output: result.output, hidden: hiddenOf(result.output) }
}

/** The schema of a push keeps its fields in the objects of the wire. */
const FlatPushSchema = v.pipe(
  reference.PushSchema,
  v.transform(({ meta, payload }) => ({ isStateChange: meta.reason === 'state_change', ...payload })),
)

const READERS: Readonly<Record<string, [read: Decoder<unknown>, schema: v.GenericSchema]>> = {
  'a list of engines': [readEngineList, reference.EngineListSchema],
  'a list of streams': [readStreamList, reference.StreamListSchema],
  'a push': [readPush, FlatPushSchema],
  'a start': [readStartAnswer, reference.StartAnswerSchema],
  'an end': [readEndAnswer, reference.EndAnswerSchema],
  'a request for an engine': [readProvisionAnswer, reference.ProvisionAnswerSchema],
  'a status': [readHealth, reference.HealthSchema],
  'the circuit breaker of provisioning': [readProvisioningBreaker, reference.ProvisioningBreakerSchema],
  'a cached engine': [readEngineRecord, reference.EngineRecordSchema],
}

const two = fc.integer({ min: 0, max: 99 }).map((number) => String(number).padStart(2, '0'))
const year = fc.oneof(
  fc.constantFrom('0000', '0001', '1969', '1970', '1999', '2000', '2100', '9999'),
  two.map((digits) => `20${digits}`),
)
const inRange = (min: number, max: number) => fc.integer({ min, max }).map((number) => String(number).padStart(2, '0'))
const parts = (month: fc.Arbitrary<string>, day: fc.Arbitrary<string>, clock: fc.Arbitrary<string>) =>
  fc.tuple(
    year,
    month,
    day,
    fc.constantFrom('T', 'T', ' ', 't'),
    clock,
    clock,
    clock,
    fc.oneof(fc.constant(''), fc.stringMatching(/^\.\d{1,11}$/), fc.constant('.')),
    fc.constantFrom('Z', 'Z', 'z', '', '+00:00', '+02:00', '-0430', '+99:99', 'X'),
  )
const timestamp = fc
  .oneof(
    { weight: 4, arbitrary: parts(inRange(1, 12), inRange(1, 31), inRange(0, 23)) },
    { weight: 1, arbitrary: parts(two, two, two) },
    { weight: 1, arbitrary: parts(inRange(1, 12), inRange(1, 28), fc.constantFrom('00', '24', '59', '60', '5a', ' 1')) },
  )
  .map(([y, month, day, separator, hour, minute, second, fraction, zone]) => {
    return `${y}-${month}-${day}${separator}${hour}:${minute}:${second}${fraction}${zone}`
  })

const id = fc.constantFrom('a', 'b', '', '__proto__')
const junk = fc.oneof(fc.constantFrom(null, true, false, 0, 1, -1, 1.5, '', '7', '1.5', 'x', [], {}), fc.jsonValue({ maxDepth: 2 }))
const text = fc.oneof({ weight: 9, arbitrary: fc.constantFrom('a', 'b') }, { weight: 1, arbitrary: junk })
const mostly = (usual: fc.Arbitrary<unknown>) => fc.oneof({ weight: 12, arbitrary: usual }, { weight: 1, arbitrary: junk })
const count = mostly(fc.oneof(fc.integer({ min: -1, max: 70_000 }), fc.integer({ min: -1, max: 9 }).map(String)))
const date = fc.oneof({ weight: 9, arbitrary: timestamp }, { weight: 1, arbitrary: junk })
const labels = mostly(fc.dictionary(fc.constantFrom('x', 'y', 'constructor'), text))
const ids = mostly(fc.array(mostly(id), { maxLength: 4 }))

const wireEngine = fc.record(
  {
    container_id: mostly(fc.constantFrom('a', 'b')),
    host: mostly(fc.constantFrom('h', '')),
    port: count,
    container_name: text,
    health_status: mostly(fc.constantFrom('healthy', 'unhealthy', 'unknown')),
    forwarded: junk,
    draining: junk,
    vpn_container: text,
    streams: ids,
    stream_count: count,
    labels,
    first_seen: date,
    last_seen: date,
    last_health_check: date,
    last_stream_usage: date,
    monitor_stream_count: count,
  },
  { requiredKeys: ['container_id', 'host', 'port'] },
)
const wireStream = fc.record(
  {
    id: mostly(fc.constantFrom('s', 't')),
    key_type: text,
    key: text,
    container_id: text,
    playback_session_id: text,
    stat_url: text,
    command_url: text,
    is_live: junk,
    status: mostly(fc.constantFrom('started', 'ended')),
    started_at: date,
    ended_at: date,
  },
  { requiredKeys: ['id', 'status'] },
)
const cachedEngine = fc.record(
  {
    containerId: mostly(fc.constant('a')),
    containerName: text,
    host: mostly(fc.constant('h')),
    port: count,
    healthStatus: mostly(fc.constantFrom('healthy', 'unhealthy', 'unknown')),
    forwarded: mostly(fc.boolean()),
    draining: mostly(fc.boolean()),
    vpnContainer: text,
    streamIds: ids,
    streamCount: count,
    labels,
    firstSeen: mostly(fc.constantFrom(0, 8.64e15, 8.7e15, -8.7e15)),
    lastSeen: mostly(fc.integer()),
  },
  { requiredKeys: ['containerId', 'host', 'port', 'healthStatus', 'forwarded', 'draining', 'streamIds', 'streamCount', 'labels'] },
)
/** Removes one field of an object, or none: every field that must exist is missing in some runs. */
const without = (entries: fc.Arbitrary<object>) =>
  fc.tuple(entries, fc.nat(60)).map(([entry, index]) => {
    const missing = Object.keys(entry)[index]
    return Object.fromEntries(Object.entries(entry).filter(([name]) => name !== missing))
  })
const listOf = (entry: fc.Arbitrary<object>) => mostly(fc.array(mostly(without(entry)), { maxLength: 4 }))
const answerOf = (name: string, entry: fc.Arbitrary<object>) =>
  fc.oneof(listOf(entry), fc.record({ [name]: listOf(entry), total: fc.constantFrom(0, 1) }, { requiredKeys: [] }))

const block = mostly(
  fc.record(
    { code: text, message: text, recovery_eta_seconds: mostly(fc.double({ noNaN: true })), can_retry: junk, should_wait: junk },
    { requiredKeys: [] },
  ),
)
const ANSWERS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  'a list of engines': answerOf('engines', wireEngine),
  'a list of streams': answerOf('streams', wireStream),
  'a push': mostly(
    fc.record(
      {
        meta: mostly(fc.record({ reason: fc.constantFrom('state_change', 'initial') }, { requiredKeys: [] })),
        payload: mostly(
          fc.record(
            { engines: listOf(wireEngine), engines_total: count, streams: listOf(wireStream), timestamp: date },
            { requiredKeys: ['engines'] },
          ),
        ),
      },
      { requiredKeys: [] },
    ),
  ),
  'a start': mostly(without(fc.record({ id: mostly(id), container_id: text, started_at: date }))),
  'an end': mostly(
    without(
      fc.record({
        updated: mostly(fc.boolean()),
        stream: mostly(fc.oneof(fc.constant(null), fc.record({ id: mostly(id) }))),
        status: mostly(fc.constant('ended')),
      }),
    ),
  ),
  'a request for an engine': mostly(without(fc.record({ container_id: mostly(id), status: mostly(fc.constant('provisioning')) }))),
  'a status': mostly(
    without(
      fc.record({
        status: mostly(fc.constantFrom('healthy', 'degraded', 'other')),
        capacity: mostly(without(fc.record({ total: count, used: count, available: count, max_replicas: count }))),
        vpn: mostly(fc.record({ connected: mostly(fc.boolean()) }, { requiredKeys: [] })),
        provisioning: mostly(
          without(
            fc.record({
              can_provision: mostly(fc.boolean()),
              blocked_reason: fc.oneof(block, text),
              blocked_reason_details: block,
              last_failure: date,
            }),
          ),
        ),
      }),
    ),
  ),
  'the circuit breaker of provisioning': mostly(
    without(
      fc.record({
        general: mostly(
          without(fc.record({ state: mostly(fc.constantFrom('open', 'closed')), recovery_timeout: count, last_failure_time: date })),
        ),
      }),
    ),
  ),
  'a cached engine': mostly(without(cachedEngine)),
}

describe('an answer of an orchestrator', () => {
  test.each(Object.keys(READERS))('%s is read exactly as its schema says, also if parts of it are broken', (name) => {
    const [read, schema] = READERS[name] ?? []
    const answers = ANSWERS[name]
    if (read === undefined || schema === undefined || answers === undefined) throw new TypeError(`no reader for ${name}`)
    const outcomes = new Set<string>()
    fc.assert(
      fc.property(answers, (answer) => {
        const body = JSON.stringify(answer)
        const expected = bySchema(body, schema)
        outcomes.add('mismatch' in expected ? 'mismatch' : 'output')
        expect(byHand(body, read)).toEqual(expected)
      }),
      { numRuns: 1_000, seed: 19 },
    )
    // Neither kind of outcome is missing, or the comparison would prove nothing.
    expect([...outcomes].sort()).toEqual(['mismatch', 'output'])
  })

  test.each(GENERATIONS)('of %s, as captured, is read exactly as every schema says', (generation) => {
    const bodies = rowsOf(generation)
      .filter(({ response }) => response.contentType === 'application/json')
      .map(bodyText)
    expect(bodies.length).toBeGreaterThan(10)
    for (const body of bodies) {
      for (const [read, schema] of Object.values(READERS)) expect(byHand(body, read)).toEqual(bySchema(body, schema))
    }
  })

  it('has times that are read as `Date.parse` reads them', () => {
    fc.assert(
      fc.property(timestamp, (time) => {
        expect(parseTimestamp(time)).toBe(reference.parseTimestamp(time))
      }),
      { numRuns: 5_000, seed: 19 },
    )
  })
})
