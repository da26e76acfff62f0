import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { RequestTimeoutError } from '../../src/errors.ts'
import type { Transport } from '../../src/runtime/transport.ts'
import { WireClock } from '../support/msw.ts'
import { setup } from '../support/setup.ts'
import { rejection, StubOrchestrator, wire } from './stub-orchestrator.ts'

const never = (): Promise<never> => new Promise(() => {})
const ENGINES = { route: 'GET /engines', method: 'GET', path: 'engines' } as const

describe('the time-out of a request', () => {
  test('is requestTimeoutMs of the client by default', async () => {
    const clock = new WireClock()
    const stub = new StubOrchestrator(never)
    const { requester } = wire(stub, { clock, requestTimeoutMs: 1_000 })
    let error: unknown
    void rejection(requester.send(ENGINES)).then((reason) => (error = reason))
    await clock.advance(999)
    expect(error).toBeUndefined()
    await clock.advance(1)
    expect(error).toBeInstanceOf(RequestTimeoutError)
    expect(error).toMatchObject({ timeoutMs: 1_000, retryable: true })
    expect(stub.requests[0]?.signal?.aborted).toBe(true)
    expect(clock.pendingCount).toBe(0)
  })

  test('is timeoutMs of the call if the call sets it', async () => {
    const clock = new WireClock()
    const stub = new StubOrchestrator(never)
    const failed = rejection(wire(stub, { clock }).api.status({ timeoutMs: 60_000 }))
    await clock.advance(60_000)
    expect(await failed).toMatchObject({ name: 'RequestTimeoutError', timeoutMs: 60_000 })
  })

  test('is passed to the transport, and ends the request even if the transport never settles', async () => {
    const clock = new WireClock()
    const passed: number[] = []
    const transport: Transport = {
      request: ({ timeoutMs }) => {
        passed.push(timeoutMs)
        return never()
      },
    }
    const { requester } = wire(transport, { clock, requestTimeoutMs: 1_000 })
    const failed = [rejection(requester.send(ENGINES)), rejection(requester.send({ ...ENGINES, timeoutMs: 60_000 }))]
    await clock.advance(60_000)
    expect(await Promise.all(failed)).toMatchObject([{ timeoutMs: 1_000 }, { timeoutMs: 60_000 }])
    expect(passed).toStrictEqual([1_000, 60_000])
  })

  test('causes a RequestTimeoutError even if the transport rejects with another error', async () => {
    const clock = new WireClock()
    const transport: Transport = {
      request: ({ signal }) => new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new TypeError('terminated')))),
    }
    const failed = rejection(wire(transport, { clock }).requester.send(ENGINES))
    await clock.advance(3_000)
    expect(await failed).toBeInstanceOf(RequestTimeoutError)
  })

  test('is final: a later answer does not change the error', async () => {
    const clock = new WireClock()
    const late = Promise.withResolvers<{ body: unknown }>()
    const failed = rejection(wire(new StubOrchestrator(() => late.promise), { clock }).requester.send(ENGINES))
    await clock.advance(3_000)
    late.resolve({ body: [] })
    expect(await failed).toBeInstanceOf(RequestTimeoutError)
  })

  test('leaves no timer after a request that succeeded or failed', async () => {
    const clock = new WireClock()
    await wire(new StubOrchestrator(() => ({ body: [] })), { clock }).requester.send(ENGINES)
    await rejection(wire(new StubOrchestrator(() => ({ status: 500 })), { clock }).requester.send(ENGINES))
    expect(clock.pendingCount).toBe(0)
  })
})

describe("a caller's abort", () => {
  test.each([
    ['an error', new Error('viewer left')],
    ['a string', 'left'],
    ['null', null],
    ['a RequestTimeoutError', new RequestTimeoutError('x', { timeoutMs: 1 })],
  ])('ends the call with exactly the reason of the caller: %s', async (_, reason) => {
    const clock = new WireClock()
    const failures: unknown[] = []
    const stub = new StubOrchestrator(never)
    const { api } = wire(stub, { clock, onFailure: (_route, error) => failures.push(error) })
    const controller = new AbortController()
    const failed = rejection(api.listEngines({ signal: controller.signal }))
    await clock.settle()
    controller.abort(reason)
    expect(await failed).toBe(reason)
    expect(stub.requests[0]?.signal?.aborted).toBe(true)
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0)
    await clock.settle()
    expect(clock.pendingCount).toBe(0)
    expect(failures).toStrictEqual([])
  })

  test('before the call prevents the request', async () => {
    const stub = new StubOrchestrator(() => ({ body: [] }))
    const { api } = wire(stub)
    expect(await rejection(api.startStream(START, { signal: AbortSignal.abort('gone') }))).toBe('gone')
    expect(stub.requests).toHaveLength(0)
  })
})

const SESSION = { playbackSessionId: 'p', statUrl: 'http://e/s', commandUrl: 'http://e/c', isLive: true }
const START = { streamId: 's', address: { host: 'h', port: 1 }, keyType: 'infohash', key: 'k', session: SESSION, labels: {} } as const

test('a signal that 100 calls used has no listeners afterwards', async () => {
  const { signal } = new AbortController()
  const stub: StubOrchestrator = new StubOrchestrator(() => (stub.requests.length % 2 === 0 ? { body: [] } : { status: 500 }))
  const { requester } = wire(stub)
  for (let call = 0; call < 100; call++) await requester.send({ ...ENGINES, signal }).catch(() => {})
  expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  expect(stub.requests).toHaveLength(100)
})

describe('maxConcurrentRequests', () => {
  test('limits the requests in flight to 3, and the other requests follow in order', async () => {
    const gates: PromiseWithResolvers<void>[] = []
    let underWay = 0
    let most = 0
    const stub = new StubOrchestrator(async () => {
      const gate = Promise.withResolvers<void>()
      gates.push(gate)
      most = Math.max(most, ++underWay)
      await gate.promise
      underWay--
      return { body: [] }
    })
    const clock = new WireClock()
    const { requester } = wire(stub, { clock, maxConcurrentRequests: 3 })
    const calls = Array.from({ length: 10 }, (_, index) => requester.send({ ...ENGINES, path: `engines/${index}` }))
    for (let answered = 0; answered < 10; answered++) {
      await clock.settle()
      gates[answered]?.resolve()
    }
    await Promise.all(calls)
    expect(most).toBe(3)
    expect(stub.requestLines).toStrictEqual(Array.from({ length: 10 }, (_, index) => `GET /engines/${index}`))
  })

  test('makes a request wait, and the wait does not count towards its time-out', async () => {
    const clock = new WireClock()
    const stub: StubOrchestrator = new StubOrchestrator(() => (stub.requests.length === 1 ? never() : { body: [] }))
    const { requester } = wire(stub, { clock, maxConcurrentRequests: 1 })
    const first = rejection(requester.send(ENGINES))
    const second = requester.send(ENGINES)
    await clock.advance(3_000)
    expect(await first).toBeInstanceOf(RequestTimeoutError)
    expect(await second).toMatchObject({ status: 200 })
  })

  test('makes a call wait; if its caller aborts meanwhile, the call rejects at once and is never sent', async () => {
    const clock = new WireClock()
    const gate = Promise.withResolvers<{ body: unknown }>()
    const stub = new StubOrchestrator(() => gate.promise)
    const counted: string[] = []
    const { requester } = wire(stub, { clock, maxConcurrentRequests: 1, onRequest: (route) => counted.push(route) })
    const first = requester.send(ENGINES)
    const controller = new AbortController()
    const waiting = rejection(requester.send({ ...ENGINES, signal: controller.signal }))
    const last = requester.send(ENGINES)
    await clock.settle()
    controller.abort('left')
    expect(await waiting).toBe('left')
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0)
    expect(stub.requests).toHaveLength(1)
    gate.resolve({ body: [] })
    await Promise.all([first, last])
    expect(stub.requests).toHaveLength(2)
    expect(counted).toHaveLength(2)
  })

  test('lets the next request start when the caller of a request in flight aborts', async () => {
    const clock = new WireClock()
    const stub: StubOrchestrator = new StubOrchestrator(() => (stub.requests.length === 1 ? never() : { body: [] }))
    const { requester } = wire(stub, { clock, maxConcurrentRequests: 1 })
    const controller = new AbortController()
    const first = rejection(requester.send({ ...ENGINES, signal: controller.signal }))
    const second = requester.send(ENGINES)
    await clock.settle()
    controller.abort('left')
    expect(await first).toBe('left')
    expect(await second).toMatchObject({ status: 200 })
  })
})

test('listStreams() with an aborted signal sends no request', async () => {
  const { client, fake } = setup()
  expect(await rejection(client.listStreams({}, { signal: AbortSignal.abort('gone') }))).toBe('gone')
  expect(fake.counters.requests.total).toBe(0)
})
