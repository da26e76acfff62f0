import * as library from 'acestream-orchestrator-client'
import {
  AuthenticationError,
  CapacityError,
  CircuitOpenError,
  ClientClosedError,
  ConnectionError,
  ContentError,
  InvalidArgumentError,
  MalformedResponseError,
  OrchestratorClient,
  type OrchestratorError,
  type OrchestratorErrorCode,
  PlaybackError,
  RequestTimeoutError,
  ResponseError,
  StoreError,
  StreamLostError,
} from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { DIAGNOSE_OPTIONS } from '../../src/options/diagnose-options.ts'
import {
  ACQUIRE_OPTIONS,
  CIRCUIT_BREAKER_OPTIONS,
  CLIENT_OPTIONS,
  CLOSE_OPTIONS,
  DEFAULTS,
  FAIL_OPTIONS,
  LIST_ENGINES_OPTIONS,
  PROVISION_OPTIONS,
  REQUEST_OPTIONS,
  RETRY_OPTIONS,
  STREAM_FILTER,
} from '../../src/options/resolve.ts'
import { JOIN_OPTIONS, OPEN_OPTIONS } from '../../src/options/resolve-playback.ts'
import { CLIENT_EVENT_NAMES } from '../../src/telemetry/events.ts'
import { baseOf, deepMembersOf, fieldsOfMembers, literalsOf, membersOf, signaturesOf } from './declarations.ts'
import { codeSpans, pagesUnder, read } from './pages.ts'
import { type Row, tablesOf } from './tables.ts'

const PAGE = 'docs/reference.md'
const tables = tablesOf(read(PAGE))

/** The rows of all tables under `heading` whose first column has this title. */
function rowsOf(heading: string, column: string): readonly Row[] {
  const found = tables.filter(({ under, columns }) => under.includes(heading) && columns[0] === column)
  if (found.length === 0) throw new Error(`${PAGE} has no table of ${column} under ${heading}`)
  return found.flatMap(({ rows }) => rows)
}

/** The first inline code in this column of each row: the name that the row describes. */
function namesIn(rows: readonly Row[], column: string): string[] {
  return rows.map((row) => codeIn(row, column)[0] ?? '').sort()
}

function codeIn(row: Row, column: string): string[] {
  return codeSpans(row[column] ?? '')
}

const without = (names: readonly string[], ...others: string[]): string[] => names.filter((name) => !others.includes(name))

const OPTIONS = rowsOf('Options of the client', 'option')
const GROUPS = { retry: RETRY_OPTIONS, circuitBreaker: CIRCUIT_BREAKER_OPTIONS }
const GROUPED = Object.entries(GROUPS).flatMap(([group, names]) => Object.keys(names).map((name) => `${group}.${name}`))
const CALLS = rowsOf('Options of calls', 'call')

/** The defaults by option name, in the notation of the tables. */
function writtenDefaults(values: object, prefix = ''): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]: [string, unknown]) => {
      if (typeof value === 'object' && value !== null) return Object.entries(writtenDefaults(value, `${name}.`))
      const written = typeof value === 'number' ? value.toLocaleString('en') : typeof value === 'string' ? `\`'${value}'\`` : `\`${value}\``
      return [[`${prefix}${name}`, written]]
    }),
  )
}

/** Whether the client accepts this value of an option. */
function isAccepted(name: string, value: unknown): boolean {
  const [group = '', field] = name.split('.')
  try {
    return new OrchestratorClient({ baseUrl: 'http://a', [group]: field === undefined ? value : { [field]: value } }) !== undefined
  } catch (error) {
    if (error instanceof InvalidArgumentError && error.argument === name) return false
    throw error
  }
}

const RANGES = {
  '0 or more': { right: [0, 0.5, 1e9], wrong: [-1, Number.POSITIVE_INFINITY, '1'] },
  'above 0': { right: [0.5, 1e9], wrong: [0, -1, Number.POSITIVE_INFINITY] },
  '1 or more': { right: [1, 1_000], wrong: [0, 1.5, -1] },
} as const

const SAMPLES: Record<OrchestratorErrorCode, OrchestratorError> = {
  INVALID_ARGUMENT: new InvalidArgumentError('a', 'b'),
  CONNECTION: new ConnectionError('', { maybeProcessed: true }),
  REQUEST_TIMEOUT: new RequestTimeoutError('', { timeoutMs: 1 }),
  RESPONSE: new ResponseError('', { status: 404, body: '' }),
  AUTHENTICATION: new AuthenticationError('', { status: 401, body: '' }),
  MALFORMED_RESPONSE: new MalformedResponseError(''),
  CAPACITY: new CapacityError('', { reason: 'full', shouldWait: true, canRetry: true }),
  CIRCUIT_OPEN: new CircuitOpenError('', { retryAfterMs: 1 }),
  CLIENT_CLOSED: new ClientClosedError(),
  STREAM_LOST: new StreamLostError('', { streamId: 'a', containerId: 'b' }),
  STORE: new StoreError('', { reason: 'corrupt' }),
  PLAYBACK_FAILED: new PlaybackError('', { attempts: [], retryAfterMs: 1 }),
  CONTENT: new ContentError(),
}
const EXPORTED_ERRORS = Object.keys(library).filter((name) => name.endsWith('Error'))

/** The fields that an error class has in addition to the fields of all errors, which also have `toJSON`. */
function ownFields(name: string): string[] {
  if (name === 'OrchestratorErrorBase') return []
  return [...without(membersOf(name), 'code', 'toJSON'), ...ownFields(baseOf(name) ?? '')]
}

describe('the options of the client in the reference', () => {
  it('are all options that the client has, and no other', () => {
    const names = [...without(Object.keys(CLIENT_OPTIONS), ...Object.keys(GROUPS)), ...GROUPED]
    expect(namesIn(OPTIONS, 'option')).toEqual(names.sort())
  })

  it('have the default that the client uses', () => {
    const written = Object.fromEntries([...OPTIONS, ...CALLS].map((row) => [codeIn(row, 'option')[0] ?? '', row['default']]))
    expect(written).toMatchObject(writtenDefaults(DEFAULTS))
  })

  it.each(OPTIONS.filter(({ range = '' }) => range in RANGES).map(({ option = '', range }) => ({ option, range })))(
    'have the range that the client accepts: $option, $range',
    ({ option, range }) => {
      const name = codeSpans(option)[0] ?? ''
      const { right, wrong } = RANGES[range as keyof typeof RANGES]
      expect(right.map((value) => isAccepted(name, value))).not.toContain(false)
      expect(wrong.map((value) => isAccepted(name, value))).not.toContain(true)
    },
  )

  it('describe each field of a candidate that `rankEngines` compares, and no other', () => {
    expect(namesIn(rowsOf('Engines', 'field'), 'field')).toEqual(membersOf('Candidate').sort())
  })

  it('have a range wherever they are a number', () => {
    const numbers = OPTIONS.filter(({ type }) => type === 'number')
    expect(numbers.length).toBeGreaterThan(20)
    expect(numbers.filter(({ range = '' }) => !(range in RANGES))).toEqual([])
  })
})

describe('the options of the stores and the transport in the reference', () => {
  const MADE_BY = rowsOf('Options of stores and transport', 'made by')

  it.each(['SqliteStore', 'RedisStore', 'KyTransport'])('are all options of %s, and no other', (made) => {
    const rows = MADE_BY.filter((row) => row['made by'] === `\`${made}\``)
    expect(namesIn(rows, 'option')).toEqual(membersOf(`${made}Options`).sort())
  })

  it('belong to these three classes, and to no other', () => {
    expect(new Set(MADE_BY.map((row) => row['made by'])).size).toBe(3)
  })
})

describe('the options of calls in the reference', () => {
  it.each<[call: string, names: object]>([
    ['acquireEngine', ACQUIRE_OPTIONS],
    ['listEngines', LIST_ENGINES_OPTIONS],
    ['listStreams', STREAM_FILTER],
    ['provisionEngine', PROVISION_OPTIONS],
    ['diagnose', DIAGNOSE_OPTIONS],
    ['close', CLOSE_OPTIONS],
    ['lease.fail', FAIL_OPTIONS],
  ])('are all options of %s, and no other', (call, names) => {
    const rows = CALLS.filter((row) => row['call'] === `\`${call}\``)
    const written = namesIn(rows, 'option').map((name) => name.replace(/\(.*/, ''))
    expect(written).toEqual(without(Object.keys(names), ...Object.keys(REQUEST_OPTIONS)).sort())
  })

  it('are all options of openStream and joinStream, and no other', () => {
    const all = [...Object.keys(JOIN_OPTIONS).filter((name) => !(name in ACQUIRE_OPTIONS))]
    const rows = CALLS.filter(({ call }) => call?.includes('joinStream'))
    const written = rows.flatMap((row) => codeIn(row, 'option').map((option) => option.replace(/\(.*/, '')))
    expect(without(written, 'acquireEngine', 'exclude', 'content').sort()).toEqual(all.sort())
    expect(Object.keys(JOIN_OPTIONS).filter((name) => !(name in OPEN_OPTIONS))).toEqual(['variant', 'lingerMs'])
  })

  it('are the signal of every call, and the options of nine calls', () => {
    const shared = CALLS.filter(({ call }) => call?.startsWith('each call'))
    expect(namesIn(shared, 'option')).toEqual(Object.keys(REQUEST_OPTIONS))
    expect(new Set(CALLS.map(({ call }) => call)).size).toBe(10)
  })

  it('describe each field of a start, and no other', () => {
    const session = membersOf('PlaybackSession').map((name) => `session.${name}`)
    const fields = [...without(membersOf('StreamStart'), 'session'), ...session]
    expect(namesIn(rowsOf('Options of calls', 'field'), 'field')).toEqual(fields.sort())
  })
})

describe('the methods in the reference', () => {
  it.each([
    ['OrchestratorClient', 'method'],
    ['EngineLease', 'member'],
    ['StreamHandle', 'member'],
    ['OpenStream', 'member'],
    ['StreamViewer', 'member'],
  ])('are all of %s with all their parameters, and no other', (type, column) => {
    expect(
      rowsOf(type, column)
        .flatMap((row) => codeIn(row, column))
        .sort(),
    ).toEqual(signaturesOf(type).sort())
  })

  it('resolve with data whose fields and values are all described', () => {
    const data = rowsOf('Data', 'field')
    const types = ['EndResult', 'OrchestratorHealth', 'ReconcileReport', 'CloseReport', 'SweepReport']
    expect(namesIn(data, 'field')).toEqual(types.flatMap((type) => membersOf(type)).sort())
    expect(namesIn(rowsOf('Data', 'outcome'), 'outcome')).toEqual(literalsOf('EndOutcome').sort())
    expect(namesIn(rowsOf('StreamHandle', 'state'), 'state')).toEqual(literalsOf('StreamState').sort())
  })
})

describe('the diagnosis in the reference', () => {
  it('has all fields of a diagnosis and of its engines, and no other', () => {
    expect(namesIn(rowsOf('Diagnosis', 'field'), 'field')).toEqual(membersOf('Diagnosis').sort())
    const fields = rowsOf('Diagnosis', 'field of an engine').flatMap((row) => codeIn(row, 'field of an engine'))
    expect(fields).toEqual(membersOf('DiagnosedEngine'))
  })

  it('has all problems, and no other', () => {
    expect(namesIn(rowsOf('Diagnosis', 'problem'), 'problem')).toEqual(literalsOf('ProblemCode').sort())
  })
})

describe('the errors in the reference', () => {
  const ERRORS = rowsOf('Errors', 'error')

  it('are all classes that are exported, and no other', () => {
    expect(namesIn(ERRORS, 'error')).toEqual(without(EXPORTED_ERRORS, 'OrchestratorError').sort())
  })

  it('have the code and the fields of their class', () => {
    const written = ERRORS.map((row) => [codeIn(row, 'error')[0], codeIn(row, 'code')[0], codeIn(row, 'own fields').sort()])
    const declared = Object.values(SAMPLES).map(({ name, code }) => [name, code, ownFields(name).sort()])
    expect(written.sort()).toEqual(declared.sort())
  })

  it('say "yes" or "no" correctly for the 9 classes that are always or never retryable', () => {
    const answers = ERRORS.filter(({ retryable = '' }) => ['yes', 'no'].includes(retryable))
    expect(answers.length).toBe(9)
    for (const row of answers) {
      const { retryable } = SAMPLES[codeIn(row, 'code')[0] as OrchestratorErrorCode]
      expect([row['error'], row['retryable']]).toEqual([row['error'], retryable ? 'yes' : 'no'])
    }
  })

  it.each([
    ['CapacityError', 'CapacityReason'],
    ['StoreError', 'StoreErrorReason'],
  ])('have all reasons of a %s, and no other', (error, type) => {
    expect(namesIn(rowsOf(error, 'reason'), 'reason')).toEqual(literalsOf(type).sort())
  })

  it('say which reasons of a StoreError are retryable', () => {
    for (const row of rowsOf('StoreError', 'reason')) {
      const reason = codeIn(row, 'reason')[0] as library.StoreErrorReason
      expect([reason, row['retryable']]).toEqual([reason, new StoreError('', { reason }).retryable ? 'yes' : 'no'])
    }
  })

  it('describe each field of a CapacityError except its reason', () => {
    expect(namesIn(rowsOf('CapacityError', 'field'), 'field')).toEqual(without(ownFields('CapacityError'), 'reason').sort())
  })
})

describe('the events and metrics in the reference', () => {
  it('are all events of the client with all their fields, and no other', () => {
    const declared = fieldsOfMembers('ClientEvents')
    expect(Object.keys(declared).sort()).toEqual([...CLIENT_EVENT_NAMES].sort())
    const written = Object.fromEntries(rowsOf('Events', 'event').map((row) => [codeIn(row, 'event')[0], codeIn(row, 'fields')]))
    expect(written).toEqual(declared)
  })

  it('are all metrics of the client, and no other', () => {
    expect(namesIn(rowsOf('Metrics', 'metric'), 'metric')).toEqual(deepMembersOf('MetricsSnapshot').sort())
  })
})

describe('every page for users', () => {
  const pages = [
    'README.md',
    ...[
      PAGE,
      'docs/testing.md',
      'docs/concepts.md',
      'docs/failures.md',
      'docs/troubleshooting.md',
      'docs/playbacks.md',
      'docs/moving-from-go.md',
    ],
  ].map((path) => ({ path, text: read(path) }))
  const spans = pages.flatMap(({ path, text }) => codeSpans(text).map((name) => ({ path, name })))
  const sources = pagesUnder('src', /\.ts$/).map(({ text }) => text)
  const isDeclared = (name: string): boolean => sources.some((text) => new RegExp(`\\b${name}\\b`).test(text))

  it('names no event that does not exist', () => {
    const events = spans.filter(({ name }) => /^(engine|engines|lease|capacity|provision|stream|delivery|health|circuit):\S/.test(name))
    expect(events.length).toBeGreaterThan(10)
    expect(events.filter(({ name }) => !CLIENT_EVENT_NAMES.includes(name))).toEqual([])
  })

  it('names no error that does not exist', () => {
    const errors = spans.filter(({ name }) => /^[A-Z]\w*Error$/.test(name))
    expect(errors.length).toBeGreaterThan(20)
    expect(errors.filter(({ name }) => !EXPORTED_ERRORS.includes(name))).toEqual([])
  })

  it('names no duration and no method that does not exist', () => {
    const names = spans.flatMap(({ path, name }) =>
      [...name.matchAll(/\b[a-z]\w*Ms\b|\b[a-z]\w*(?=\(\))/g)].map(([word]) => ({ path, word })),
    )
    expect(names.length).toBeGreaterThan(50)
    expect(names.filter(({ word }) => !(isDeclared(word) || word in globalThis))).toEqual([])
  })
})
