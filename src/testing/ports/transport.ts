import type { MaybePromise } from '../../runtime/maybe-promise.ts'
import type { Transport, TransportRequest } from '../../runtime/transport.ts'
import { expectBoolean, expectFunction, expectOptions, type NamesOf } from '../../runtime/validate.ts'
import { FakeOrchestrator } from '../fake-orchestrator.ts'
import { expectSame, fail } from '../state-store/expect.ts'
import { type DescribePortOptions, declareRules, type PortRule, type ProvablePortRule, toRules, toUnderTest } from './contract.ts'

/** A transport to check. */
export interface TransportUnderTest {
  readonly transport: Transport
  /** Closes the transport. Called once, after the rule was checked. */
  readonly close?: (() => MaybePromise<unknown>) | undefined
}

/** Makes the transport for one rule; called once for each rule, with the orchestrator that gets the requests. */
export type TransportFactory = (orchestrator: FakeOrchestrator) => MaybePromise<Transport | TransportUnderTest>

/** Options of {@link describeTransport}. */
export interface DescribeTransportOptions extends DescribePortOptions {
  /** Whether the transport enforces `timeoutMs`. The client enforces it too, so a transport need not. @default true */
  readonly timeouts?: boolean | undefined
}

interface Subject {
  readonly transport: Transport
  readonly fake: FakeOrchestrator
  /** Makes a request to the orchestrator. */
  readonly to: (path: string, options?: Partial<TransportRequest>) => TransportRequest
}

/** A rule about a transport. `isTimeout`: it is about time-outs. `isStream`: it needs v1, the generation with an event stream. */
type TransportRule = ProvablePortRule<Subject> & { readonly isTimeout?: boolean; readonly isStream?: boolean }

const METHODS: readonly (keyof Transport)[] = ['request']
const TIMEOUT_MS = 30_000
const SHORT_MS = 50
/** After so many other answers a stream that was requested before them must have its headers. */
const OTHER_REQUESTS = 100
const START = 'POST /events/stream_started'

/** Makes the request that announces the start of a stream, as the client sends it. */
function startRequest({ fake, to }: Subject, streamId: string): TransportRequest {
  const [engine] = fake.engines
  const body = {
    container_id: engine?.containerId,
    engine: { host: engine?.host, port: engine?.port },
    stream: { key_type: 'infohash', key: 'a'.repeat(40) },
    session: { playback_session_id: 'größe 📺', stat_url: 'http://a/stat', command_url: 'http://a/cmd', is_live: 1 },
    labels: { stream_id: streamId },
  }
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${fake.apiKey}` }
  return to('/events/stream_started', { method: 'POST', headers, body: JSON.stringify(body) })
}

/**
 * Whether the promise settles while the server answers {@link OTHER_REQUESTS} other requests. A stream never ends by itself, so a rule that
 * only waited for a flawed transport would never end either.
 */
async function settlesMeanwhile(promise: Promise<unknown>, other: () => Promise<unknown>): Promise<boolean> {
  let isSettled = false
  const settle = (): void => {
    isSettled = true
  }
  promise.then(settle, settle)
  for (let count = 0; !isSettled && count < OTHER_REQUESTS; count += 1) await other()
  return isSettled
}

async function failureOf(
  work: Promise<unknown>,
): Promise<{ readonly error: unknown; readonly code: unknown; readonly maybeProcessed: unknown }> {
  const error: unknown = await work.then(
    (answer) => fail(`a request: expected a rejection, got ${JSON.stringify(answer)}`),
    (reason: unknown) => reason,
  )
  const { code, maybeProcessed } = (typeof error === 'object' && error !== null ? error : {}) as Record<string, unknown>
  return { error, code, maybeProcessed }
}

const RULES: readonly TransportRule[] = [
  {
    id: 'T1',
    text: 'a request reaches the server with its method, path, query, headers and body',
    async prove(subject) {
      const { transport, fake, to } = subject
      const { status } = await transport.request(startRequest(subject, 'stream größe'))
      expectSame('the status of a start', status, 200)
      expectSame(
        'the streams that started',
        fake.streams.map(({ id }) => id),
        ['stream größe'],
      )
      const ended = await transport.request(to('/streams?status=ended'))
      expectSame('the streams with the query status=ended', JSON.parse(ended.body), [])
      const refused = await transport.request({ ...startRequest(subject, 'other'), headers: { 'content-type': 'application/json' } })
      expectSame('the status without a key', refused.status, 401)
    },
  },
  {
    id: 'T2',
    text: 'request returns the status, the headers and the whole body for every status',
    async prove({ transport, fake, to }) {
      const body = JSON.stringify(Array.from({ length: 20_000 }, (_, index) => `größe 📺 ${index}`))
      for (const status of [200, 201, 400, 404, 429, 500, 503]) {
        fake.inject({ kind: 'status', status, headers: { 'Retry-After': '7', 'x-answer': 'yes' }, body })
        const answer = await transport.request(to('/engines'))
        expectSame('the status', answer.status, status)
        expectSame('the headers', [answer.headers.get('retry-after'), answer.headers.get('x-answer')], ['7', 'yes'])
        expectSame('the body', [answer.body.length, answer.body.slice(-40)], [body.length, body.slice(-40)])
      }
    },
  },
  {
    id: 'T3',
    text: 'a redirect is returned with a status of 300 to 399 and never followed, because that would send the key to another server',
    async prove({ transport, fake, to }) {
      fake.inject({ kind: 'redirect', headers: { location: to('/streams').url.href } })
      const { status } = await transport.request(to('/engines', { headers: { authorization: 'Bearer key' } }))
      if (status < 300 || status > 399) fail(`the status of a redirect: expected 300 to 399, got ${status}`)
      expectSame('requests made', fake.counters.requests.byRoute, { 'GET /engines': 1 })
    },
  },
  {
    id: 'T4',
    text: 'request makes one attempt, however it fails',
    async prove(subject) {
      const { transport, fake, to } = subject
      fake.inject({ kind: 'status', status: 503 })
      expectSame('the status', (await transport.request(to('/engines'))).status, 503)
      fake.inject({ kind: 'reset-after', route: START })
      await failureOf(transport.request(startRequest(subject, 's')))
      expectSame('requests made', fake.counters.requests.byRoute, { 'GET /engines': 1, [START]: 1 })
    },
  },
  {
    id: 'T5',
    text: 'if the connection breaks after the request was sent, request rejects, and its error does not claim maybeProcessed: false',
    async prove(subject) {
      const { transport, fake } = subject
      fake.inject({ kind: 'reset-after', route: START })
      const { maybeProcessed } = await failureOf(transport.request(startRequest(subject, 's')))
      expectSame('streams that started although the connection broke', fake.liveStreamIds(), ['s'])
      if (maybeProcessed === false) fail('maybeProcessed: expected true, or another error, got false')
    },
  },
  {
    id: 'T6',
    text: 'an aborted request rejects with the reason of its signal, before and after it was sent',
    async prove({ transport, fake, to }) {
      const reason = { gone: true }
      const before = await failureOf(transport.request(to('/engines', { signal: AbortSignal.abort(reason) })))
      if (before.error !== reason) fail(`a signal that was aborted before the request: expected its reason, got ${String(before.error)}`)
      expectSame('requests made', fake.counters.requests.total, 0)
      const lost = fake.inject({ kind: 'lost-answer', route: 'GET /engines' })
      const controller = new AbortController()
      const inFlight = failureOf(transport.request(to('/engines', { signal: controller.signal })))
      // Wait until the first request has arrived, so that the abort comes while it is in flight.
      while (lost.hits === 0) await transport.request(to('/streams'))
      controller.abort(reason)
      const { error } = await inFlight
      if (error !== reason) fail(`a signal that was aborted during the request: expected its reason, got ${String(error)}`)
    },
  },
  {
    id: 'T7',
    text: 'eight requests without a response do not delay another request',
    async prove({ transport, fake, to }) {
      fake.inject({ kind: 'lost-answer', route: 'GET /engines', times: 8 })
      const controller = new AbortController()
      const hanging = Array.from({ length: 8 }, () => failureOf(transport.request(to('/engines', { signal: controller.signal }))))
      const answer = await Promise.race([transport.request(to('/streams')), ...hanging])
      controller.abort()
      await Promise.all(hanging)
      expectSame('the status', 'status' in answer ? answer.status : answer.error, 200)
    },
  },
  {
    id: 'T8',
    text: 'a request without a response rejects with a RequestTimeoutError after its timeoutMs',
    isTimeout: true,
    async prove({ transport, fake, to }) {
      fake.inject({ kind: 'lost-answer' })
      const { code, error } = await failureOf(transport.request(to('/engines', { timeoutMs: SHORT_MS })))
      if (code !== 'REQUEST_TIMEOUT') fail(`the code of the error: expected REQUEST_TIMEOUT, got ${String(code)} (${String(error)})`)
    },
  },
  {
    id: 'T9',
    text: 'stream(), if the transport has it, resolves before the body ends, and an abort of the signal ends the body',
    isStream: true,
    async prove({ transport, fake, to }) {
      const controller = new AbortController()
      const { signal } = controller
      const headers = { authorization: `Bearer ${fake.apiKey}` }
      const answering = transport.stream?.(to('/events/stream', { signal, headers }))
      if (answering === undefined) return
      const other = (): Promise<unknown> => transport.request(to('/engines', { headers }))
      if (!(await settlesMeanwhile(answering, other))) {
        controller.abort()
        fail('stream(): expected an answer before the body ends, got none')
      }
      const answer = await answering
      expectSame('the status', answer.status, 200)
      expectSame('the content type', answer.headers.get('content-type'), 'text/event-stream')
      const decoder = new TextDecoder()
      const pieces = answer.body[Symbol.asyncIterator]()
      let text = ''
      const endOf = (error: unknown): { done: true; value: undefined } => {
        if (!signal.aborted) throw error
        return { done: true, value: undefined }
      }
      for (;;) {
        const next = pieces.next().catch(endOf)
        if (signal.aborted && !(await settlesMeanwhile(next, other))) fail('the body: expected an end after the abort, got none')
        const { done, value } = await next
        if (done === true) break
        text += typeof value === 'string' ? value : decoder.decode(value, { stream: true })
        if (text.includes('full_sync')) controller.abort()
      }
      expectSame('the first message came before the end', [signal.aborted, text.includes('full_sync')], [true, true])
    },
  },
]

/** The rules that `describeTransport` checks. */
export const TRANSPORT_RULES: readonly PortRule[] = toRules(RULES)

const OPTION_NAMES: NamesOf<DescribeTransportOptions> = { name: true, describe: true, it: true, timeouts: true }

/**
 * Declares one test for every rule that a {@link Transport} must keep. Works with every test runner that has `describe` and `it`. The
 * requests go to a fake orchestrator on a real loopback socket, so the tests need Node.
 *
 * @param factory makes a transport; called once for each rule, with the orchestrator that gets the requests
 * @throws {@link InvalidArgumentError} if `describe` or `it` is neither passed nor global
 *
 * @example
 * import { describe, it } from 'node:test'
 * import { KyTransport } from 'acestream-orchestrator-client'
 * import { describeTransport } from 'acestream-orchestrator-client/testing'
 *
 * describeTransport(() => new KyTransport(), { describe, it })
 */
export function describeTransport(factory: TransportFactory, options: DescribeTransportOptions = {}): void {
  expectFunction('factory', factory)
  expectOptions(options, OPTION_NAMES)
  const { name = 'a transport', timeouts = true, describe, it } = options
  const kept = expectBoolean('timeouts', timeouts) ? RULES : RULES.filter(({ isTimeout = false }) => !isTimeout)
  declareRules<Subject, TransportRule>({ name, describe, it }, kept, async ({ isStream = false }) => {
    const fake = new FakeOrchestrator({ generation: isStream ? 'v1' : '2025-10' })
    const { transport, close = () => {} } = toUnderTest<TransportUnderTest>('transport', METHODS, await factory(fake))
    const server = await fake.listen()
    const to = (path: string, request: Partial<TransportRequest> = {}): TransportRequest => ({
      method: 'GET',
      url: new URL(`${isStream ? '/api/v1' : ''}${path}`, server.url),
      headers: {},
      timeoutMs: TIMEOUT_MS,
      ...request,
    })
    const closeAll = async (): Promise<void> => {
      await close()
      await server.close()
    }
    return { subject: { transport, fake, to }, close: closeAll }
  })
}
