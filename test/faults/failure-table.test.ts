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
import { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { classifyFailure } from '../../src/errors.ts'
import { CircuitBreaker } from '../../src/orchestrator/circuit-breaker.ts'
import { isRefusal } from '../../src/orchestrator/push-source.ts'
import { Sequence } from '../../src/runtime/sequence.ts'
import { read } from '../docs/pages.ts'
import { tablesOf } from '../docs/tables.ts'

const response = (...statuses: number[]) => statuses.map((status) => new ResponseError(`answered ${status}`, { status, body: '' }))
const rejection = (status: number) => new AuthenticationError(`answered ${status}`, { status, body: '' })
const connection = (maybeProcessed: boolean, retryable = true) => new ConnectionError('no answer', { maybeProcessed, retryable })

/** The errors that each row of the table is about. */
const SAMPLES: readonly (readonly [failure: string, errors: readonly OrchestratorError[]])[] = [
  ['The connection was refused, or the name was not found', [connection(false)]],
  ['TLS failed', [connection(false, false)]],
  ['The connection broke', [connection(true)]],
  ['No complete answer in time', [new RequestTimeoutError('late', { timeoutMs: 1 })]],
  ['300-399', response(300, 301, 302, 304, 307, 308, 399)],
  ['401, 403', [rejection(401), rejection(403)]],
  ['408', response(408)],
  ['425, 429', response(425, 429)],
  ['any other 400-499', response(400, 402, 404, 405, 409, 410, 413, 422, 426, 428, 431, 451, 499)],
  ['503', response(503)],
  ['any other 500-599', response(500, 501, 502, 504, 505, 507, 520, 599)],
  ['An answer that cannot be read', [new MalformedResponseError('HTML')]],
  ['The circuit breaker is open', [new CircuitOpenError('open', { retryAfterMs: 1 })]],
  ['The client was closed', [new ClientClosedError()]],
]

const WORDS = { 'not-processed': 'was not processed', refused: 'was rejected', unknown: 'may be applied' }

/** What a circuit breaker that opens after two failures makes of an error between two failures. */
function breakerVerdict(error: OrchestratorError): string {
  const circuit = new CircuitBreaker({
    clock: new ManualClock(),
    sequence: new Sequence(),
    url: 'http://a',
    probe: { route: '', send: async () => {} },
    failureThreshold: 2,
    resetAfterMs: 1_000,
    onOpened: () => {},
    onClosed: () => {},
    onRecovered: () => {},
  })
  const record = (failure: OrchestratorError) => circuit.record(circuit.epoch, failure)
  record(connection(false))
  record(error)
  if (!circuit.isClosed) return 'counts'
  record(connection(false))
  return circuit.isClosed ? 'resets' : 'ignores'
}

const rows = tablesOf(read('docs/reference.md'))
  .filter(({ columns }) => columns[0] === 'failure')
  .flatMap((table) => table.rows)

describe('the table of failures in the reference', () => {
  it('has each kind of failure', () => {
    expect(rows.map(({ failure }) => failure)).toEqual(SAMPLES.map(([failure]) => failure))
  })

  it.each(SAMPLES.flatMap(([failure, errors]) => errors.map((error) => ({ failure, error, name: `${error.code}: ${error.message}` }))))(
    'says what the client does after $failure ($name)',
    ({ failure, error }) => {
      const actual = {
        failure,
        '`code`': `\`${error.code}\``,
        retryable: error.retryable ? 'yes' : 'no',
        'the request': WORDS[classifyFailure(error).effect],
        'circuit breaker': breakerVerdict(error),
        'old list or `fallbackEngine`': classifyFailure(error).allowsFallback ? 'yes' : 'no',
      }
      expect(actual).toEqual(rows.find((row) => row['failure'] === failure))
    },
  )

  it('separates the answers that rule out an event stream from failures that may pass', () => {
    const refusing = SAMPLES.filter(([, errors]) => errors.every(isRefusal))
    const others = SAMPLES.filter(([, errors]) => !errors.some(isRefusal))
    expect(refusing.map(([failure]) => failure)).toEqual(['300-399', '401, 403', 'any other 400-499', 'An answer that cannot be read'])
    expect(refusing.length + others.length).toBe(SAMPLES.length)
  })
})
