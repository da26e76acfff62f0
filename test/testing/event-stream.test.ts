import { describe, expect, it } from 'vitest'
import { failureOf } from '../support/setup.ts'
import { Calls } from './calls.ts'

const headers = { authorization: 'Bearer testkey' }

function connect({ fake }: Calls, signal?: AbortSignal) {
  const url = new URL('http://orchestrator.test/api/v1/events/stream')
  return fake.stream({ method: 'GET', url, headers, timeoutMs: 1_000, ...(signal === undefined ? {} : { signal }) })
}

describe('the event stream of the fake orchestrator as a transport', () => {
  it('delivers the pushes, and ends with a restart', async () => {
    const calls = new Calls('v1')
    const { status, headers: received, body } = await connect(calls)
    expect([status, received.get('content-type')]).toEqual([200, 'text/event-stream'])
    const texts: string[] = []
    const reading = (async () => {
      for await (const text of body) texts.push(String(text))
    })()
    await calls.clock.advance(2_000)
    expect(texts).toHaveLength(3)
    calls.fake.restart()
    await reading
    expect(calls.clock.pendingCount).toBe(0)
  })

  it('keeps 16 messages for a slow reader and loses the others', async () => {
    const calls = new Calls('v1')
    const controller = new AbortController()
    const { body } = await connect(calls, controller.signal)
    await calls.clock.advance(100_000)
    let count = 0
    const reading = failureOf(
      (async () => {
        for await (const _ of body) count += 1
      })(),
    )
    await calls.clock.settle()
    expect(count).toBe(16)
    controller.abort('left')
    expect(await reading).toBe('left')
    expect(calls.clock.pendingCount).toBe(0)
  })

  it('stops when its signal aborts, even if the body was never read', async () => {
    const calls = new Calls('v1')
    const controller = new AbortController()
    await connect(calls, controller.signal)
    expect(calls.clock.pendingCount).toBe(2)
    controller.abort()
    expect(calls.clock.pendingCount).toBe(0)
  })

  it('returns the whole response of an error', async () => {
    const calls = new Calls('v1')
    calls.fake.inject({ kind: 'status', status: 500, body: 'no', route: 'GET /events/stream' })
    const { status, body } = await connect(calls)
    expect(status).toBe(500)
    for await (const text of body) expect(text).toBe('no')
  })
})
