import type { MaybePromise } from '../../runtime/maybe-promise.ts'
import type { Transport, TransportRequest } from '../../runtime/transport.ts'
import { expectBoolean, expectFunction, expectOptions, type NamesOf } from '../../runtime/validate.ts'
import { FakeOrchestrator } from '../fake-orchestrator.ts'
import { expectSame, fail } from '../state-store/expect.ts'
import { type DescribePortOptions, declareRules, type PortRule, type ProvablePortRule, toRules, toUnderTest } from './contract.ts'

/** A transport to be proved. */
export interface TransportUnderTest {
  readonly transport: Transport
  /** Called once when the rule has been tried. */
  readonly close?: (() => MaybePromise<unknown>) | undefined
}

/** Makes what one rule is tried on; called anew for every rule, with the orchestrator that requests will go to. */
export type TransportFactory = (orchestrator: FakeOrchestrator) => MaybePromise<Transport | TransportUnderTest>

/** How a transport is proved. */
export interface DescribeTransportOptions extends DescribePortOptions {
  /** Whether it ends a request whose `timeoutMs` are over. The client does that too, for transports that do not. @default true */
  readonly timeouts?: boolean | undefined
}

interface Subject {
  readonly transport: Transport
  readonly fake: FakeOrchestrator
  /** A request to the orchestrator. */
  readonly to: (path: string, options?: Partial<TransportRequest>) => TransportRequest
}

/** A rule, whether it is about time-outs, and whether it needs the generation that pushes. */
type TransportRule = ProvablePortRule<Subject> & { readonly isTimeout?: boolean; readonly isStream?: boolean }

const METHODS: readonly (keyof Transport)[] = ['request']
const TIMEOUT_MS = 30_000
const SHORT_MS = 50
const START = 'POST /events/stream_started'

/** The request that starts a stream, as the client sends it. */
function start({ fake, to }: Subject, streamId: string): TransportRequest {
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
    text: 'a request arrives with its method, path, query, headers and body',
    async prove(subject) {
      const { transport, fake, to } = subject
      const { status } = await transport.request(start(subject, 'stream größe'))
      expectSame('the status of a start', status, 200)
      expectSame(
        'the streams that started',
        fake.streams.map(({ id }) => id),
        ['stream größe'],
      )
      const ended = await transport.request(to('/streams?status=ended'))
      expectSame('the streams that a query filters', JSON.parse(ended.body), [])
      const refused = await transport.request({ ...start(subject, 'other'), headers: { 'content-type': 'application/json' } })
      expectSame('the status without a key', refused.status, 401)
    },
  },
  {
    id: 'T2',
    text: 'an answer comes with its status, headers and whole body, whatever the status',
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
    text: 'a redirect is answered as it is, or as a status of 300 to 399, and never followed: it would carry the key elsewhere',
    async prove({ transport, fake, to }) {
      fake.inject({ kind: 'redirect', headers: { location: to('/streams').url.href } })
      const { status } = await transport.request(to('/engines', { headers: { authorization: 'Bearer key' } }))
      if (status < 300 || status > 399) fail(`the status of a redirect: expected 300 to 399, got ${status}`)
      expectSame('requests made', fake.counters.requests.byRoute, { 'GET /engines': 1 })
    },
  },
  {
    id: 'T4',
    text: 'a request is one attempt, however it fails',
    async prove(subject) {
      const { transport, fake, to } = subject
      fake.inject({ kind: 'status', status: 503 })
      expectSame('the status', (await transport.request(to('/engines'))).status, 503)
      fake.inject({ kind: 'reset-after', route: START })
      await failureOf(transport.request(start(subject, 's')))
      expectSame('requests made', fake.counters.requests.byRoute, { 'GET /engines': 1, [START]: 1 })
    },
  },
  {
    id: 'T5',
    text: 'a connection that breaks is a rejection that does not say that the request was never processed',
    async prove(subject) {
      const { transport, fake } = subject
      fake.inject({ kind: 'reset-after', route: START })
      const { maybeProcessed } = await failureOf(transport.request(start(subject, 's')))
      expectSame('streams that started all the same', fake.liveStreamIds(), ['s'])
      if (maybeProcessed === false) fail('maybeProcessed: expected true, or another error, got false')
    },
  },
  {
    id: 'T6',
    text: 'an abort rejects with the reason of the signal, before and while a request is under way',
    async prove({ transport, fake, to }) {
      const reason = { gone: true }
      const before = await failureOf(transport.request(to('/engines', { signal: AbortSignal.abort(reason) })))
      if (before.error !== reason) fail(`a signal that aborted before: expected its reason, got ${String(before.error)}`)
      expectSame('requests made', fake.counters.requests.total, 0)
      const lost = fake.inject({ kind: 'lost-answer', route: 'GET /engines' })
      const controller = new AbortController()
      const underWay = failureOf(transport.request(to('/engines', { signal: controller.signal })))
      // However long the first request takes to arrive, it is under way when the signal aborts.
      while (lost.hits === 0) await transport.request(to('/streams'))
      controller.abort(reason)
      const { error } = await underWay
      if (error !== reason) fail(`a signal that aborted meanwhile: expected its reason, got ${String(error)}`)
    },
  },
  {
    id: 'T7',
    text: 'a request without an answer delays no other',
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
    text: 'a request without an answer rejects with a RequestTimeoutError when its time is over',
    isTimeout: true,
    async prove({ transport, fake, to }) {
      fake.inject({ kind: 'lost-answer' })
      const { code, error } = await failureOf(transport.request(to('/engines', { timeoutMs: SHORT_MS })))
      if (code !== 'REQUEST_TIMEOUT') fail(`the code of the error: expected REQUEST_TIMEOUT, got ${String(code)} (${String(error)})`)
    },
  },
  {
    id: 'T9',
    text: 'stream(), where there is one, answers before the body ends, and the signal ends the body',
    isStream: true,
    async prove({ transport, fake, to }) {
      const controller = new AbortController()
      const { signal } = controller
      const answer = await transport.stream?.(to('/events/stream', { signal, headers: { authorization: `Bearer ${fake.apiKey}` } }))
      if (answer === undefined) return
      expectSame('the status', answer.status, 200)
      expectSame('the content type', answer.headers.get('content-type'), 'text/event-stream')
      const decoder = new TextDecoder()
      let text = ''
      try {
        for await (const piece of answer.body) {
          text += typeof piece === 'string' ? piece : decoder.decode(piece, { stream: true })
          if (text.includes('full_sync')) controller.abort()
        }
      } catch (error) {
        if (!signal.aborted) throw error
      }
      expectSame('the first message came before the end', [signal.aborted, text.includes('full_sync')], [true, true])
    },
  },
]

/** What `describeTransport` proves of a transport. */
export const TRANSPORT_RULES: readonly PortRule[] = toRules(RULES)

const OPTION_NAMES: NamesOf<DescribeTransportOptions> = { name: true, describe: true, it: true, timeouts: true }

/**
 * Declares one test for every rule that a {@link Transport} has to keep, under any test runner that has `describe` and `it`. The requests go to
 * a fake orchestrator on a real socket of this machine, which needs Node.
 *
 * @param factory makes a transport; called for every rule
 * @throws {@link InvalidArgumentError} where no `describe` or `it` is passed and there is no global one
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
