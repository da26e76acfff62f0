import { setupServer } from 'msw/node'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { KyTransport } from '../../src/runtime/ky-transport.ts'
import { createHandlers, FakeOrchestrator, GENERATIONS, ManualClock } from '../../src/testing/index.ts'

const server = setupServer()
const auth = { authorization: 'Bearer testkey' }

beforeAll(() => server.listen({ onUnhandledFrame: 'error' }))
afterEach(() => server.resetHandlers())
afterAll(() => server.close())

describe.each(GENERATIONS)('createHandlers with a fake of %s', (generation) => {
  const prefix = generation === 'v1' ? '/api/v1' : ''

  it('returns handlers that pass requests to the fake and return its responses', async () => {
    const fake = new FakeOrchestrator({ generation, clock: new ManualClock() })
    server.use(...createHandlers(fake))
    const response = await fetch(`http://orchestrator.test${prefix}/engines`)
    expect(await response.json()).toHaveLength(3)
    const ended = await fetch(`http://orchestrator.test${prefix}/events/stream_ended`, {
      method: 'POST',
      headers: { ...auth, 'content-type': 'application/json' },
      body: '{"content_id":"s","stream_id":"s","container_id":"stream:s"}',
    })
    expect(ended.status).toBe(200)
    expect(fake.counters).toMatchObject({ endsMissed: 1, unauthorized: 0 })
  })

  it('handles requests below a base URL with a prefix, and no others', async () => {
    server.use(...createHandlers(new FakeOrchestrator({ generation }), 'http://proxy.test/orch/'))
    expect((await fetch(`http://proxy.test/orch${prefix}/streams?status=started`)).status).toBe(200)
    vi.spyOn(console, 'error').mockImplementation(() => {}) // msw logs it too
    await expect(fetch(`http://proxy.test${prefix}/streams`)).rejects.toThrow()
  })

  it.each([
    ['refused', 'ECONNREFUSED', false],
    ['reset', 'ECONNRESET', true],
    ['reset-after', 'ECONNRESET', true],
  ] as const)('lets fetch fail after the fault %s with the code %s', async (kind, code, maybeProcessed) => {
    const fake = new FakeOrchestrator({ generation, engines: 1 })
    server.use(...createHandlers(fake))
    fake.inject({ kind })
    await expect(fetch(`http://orchestrator.test${prefix}/engines`)).rejects.toMatchObject({ name: 'TypeError', cause: { code } })
    fake.inject({ kind })
    const request = { method: 'GET' as const, url: new URL(`http://orchestrator.test${prefix}/engines`), headers: {}, timeoutMs: 5_000 }
    await expect(new KyTransport({ clock: new ManualClock() }).request(request)).rejects.toMatchObject({
      name: 'ConnectionError',
      maybeProcessed,
    })
  })

  it('lets fetch fail with ECONNREFUSED while the orchestrator restarts', async () => {
    const clock = new ManualClock()
    const fake = new FakeOrchestrator({ generation, clock })
    server.use(...createHandlers(fake))
    fake.restart({ downMs: 1_000 })
    const cause = { code: 'ECONNREFUSED' }
    await expect(fetch(`http://orchestrator.test${prefix}/engines`)).rejects.toMatchObject({ name: 'TypeError', cause })
    await clock.advance(1_000)
    expect((await fetch(`http://orchestrator.test${prefix}/engines`)).status).toBe(200)
  })

  it('applies the faults that are injected into the fake', async () => {
    const fake = new FakeOrchestrator({ generation })
    server.use(...createHandlers(fake))
    fake.inject({ kind: 'reset-after' })
    await expect(fetch(`http://orchestrator.test${prefix}/engines`)).rejects.toBeInstanceOf(TypeError)
    fake.inject({ kind: 'status', status: 204 })
    expect((await fetch(`http://orchestrator.test${prefix}/engines`)).status).toBe(204)
    fake.inject({ kind: 'redirect' })
    expect((await fetch(`http://orchestrator.test${prefix}/engines`, { redirect: 'manual' })).status).toBe(307)
    fake.inject({ kind: 'lost-answer' })
    const giveUp = new AbortController()
    const reading = fetch(`http://orchestrator.test${prefix}/engines`, { signal: giveUp.signal })
    giveUp.abort(new Error('enough'))
    await expect(reading).rejects.toThrow('enough')
  })
})

describe('createHandlers with a fake of v1', () => {
  it('streams the pushes of the fake until the reader cancels', async () => {
    const clock = new ManualClock()
    const fake = new FakeOrchestrator({ generation: 'v1', clock })
    server.use(...createHandlers(fake))
    const giveUp = new AbortController()
    const response = await fetch('http://orchestrator.test/api/v1/events/stream', { headers: auth, signal: giveUp.signal })
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
    expect((await reader?.read())?.value).toContain('initial_sync')
    await clock.advance(1_000)
    expect((await reader?.read())?.value).toContain('state_change')
    await reader?.cancel()
    await clock.settle()
    expect(clock.pendingCount).toBe(0)
  })

  it('handles port 8083 as the internal port of v1', async () => {
    server.use(...createHandlers(new FakeOrchestrator({ generation: 'v1' }), 'http://orchestrator.test:8083'))
    expect((await fetch('http://orchestrator.test:8083/engines')).status).toBe(401)
  })
})
