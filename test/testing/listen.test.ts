import { describe, expect, it, onTestFinished } from 'vitest'
import { SystemClock } from '../../src/runtime/clock.ts'
import { FakeOrchestrator, GENERATIONS, ManualClock } from '../../src/testing/index.ts'

const auth = { authorization: 'Bearer testkey' }

describe.each(GENERATIONS)('a fake orchestrator of %s on a real socket', (generation) => {
  const prefix = generation === 'v1' ? '/api/v1' : ''

  it('responds as it does in memory', async () => {
    const fake = new FakeOrchestrator({ generation })
    await using server = await fake.listen()
    expect(server.url).toBe(`http://127.0.0.1:${server.port}`)
    const response = await fetch(`${server.url}${prefix}/engines`, { headers: auth })
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(await response.json()).toHaveLength(3)
    const ended = await fetch(`${server.url}${prefix}/events/stream_ended`, {
      method: 'POST',
      headers: { ...auth, 'content-type': 'application/json' },
      body: JSON.stringify({ content_id: 'é', stream_id: 'é', container_id: 'stream:é' }),
    })
    expect(ended.status).toBe(200)
    expect(fake.counters).toMatchObject({ endsMissed: 1, requests: { total: 2 } })
  })

  it('breaks or holds connections when a fault is injected', async () => {
    const fake = new FakeOrchestrator({ generation })
    await using server = await fake.listen()
    fake.inject({ kind: 'reset' })
    await expect(fetch(`${server.url}${prefix}/engines`)).rejects.toThrow('fetch failed')
    const lost = fake.inject({ kind: 'lost-request' })
    const giveUp = new AbortController()
    const reading = fetch(`${server.url}${prefix}/engines`, { signal: giveUp.signal })
    await until(() => lost.hits === 1)
    giveUp.abort(new Error('enough'))
    await expect(reading).rejects.toThrow('enough')
    expect((await fetch(`${server.url}${prefix}/engines`)).status).toBe(200)
  })

  it('refuses connections during a restart, and accepts them on the same port afterwards', async () => {
    const clock = new ManualClock()
    const fake = new FakeOrchestrator({ generation, clock })
    await using server = await fake.listen()
    fake.restart({ downMs: 5_000 })
    await expect(fetch(`${server.url}${prefix}/engines`)).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } })
    await clock.advance(5_000)
    expect((await fetch(`${server.url}${prefix}/engines`)).status).toBe(200)
  })

  it('stops listening when it is closed', async () => {
    const server = await new FakeOrchestrator({ generation }).listen()
    await fetch(`${server.url}${prefix}/engines`)
    await server.close()
    await expect(fetch(`${server.url}${prefix}/engines`)).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } })
  })
})

describe('a fake orchestrator of v1 on a real socket', () => {
  it('serves the internal routes with surface: internal', async () => {
    const fake = new FakeOrchestrator({ generation: 'v1' })
    await using server = await fake.listen({ surface: 'internal' })
    expect((await fetch(`${server.url}/health`)).status).toBe(200)
    expect((await fetch(`${server.url}/engines`)).status).toBe(401)
    expect(await (await fetch(`${server.url}/engines`, { headers: auth })).json()).toMatchObject({ total: 3 })
  })

  it('pushes over the socket until it restarts', async () => {
    const clock = new ManualClock()
    const fake = new FakeOrchestrator({ generation: 'v1', clock })
    await using server = await fake.listen()
    const response = await fetch(`${server.url}/api/v1/events/stream`, { headers: auth })
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
    expect((await reader?.read())?.value).toContain('"reason":"initial_sync"')
    await clock.advance(1_000)
    expect((await reader?.read())?.value).toContain('"reason":"state_change"')
    fake.restart()
    expect((await reader?.read())?.done).toBe(true)
    expect(clock.pendingCount).toBe(0)
  })

  it('stops pushing when the reader disconnects, and when the server closes', async () => {
    const clock = new ManualClock()
    const fake = new FakeOrchestrator({ generation: 'v1', clock })
    const server = await fake.listen()
    const giveUp = new AbortController()
    await fetch(`${server.url}/api/v1/events/stream`, { headers: auth, signal: giveUp.signal })
    expect(clock.pendingCount).toBe(2)
    giveUp.abort()
    await until(() => clock.pendingCount === 0)
    await fetch(`${server.url}/api/v1/events/stream`, { headers: auth })
    expect(clock.pendingCount).toBe(2)
    await server.close()
    await until(() => clock.pendingCount === 0)
    expect(clock.pendingCount).toBe(0)
  })
})

/** Waits in real time, because sockets need it. If the condition never becomes true, the time limit of the test runner ends the test. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const system = new SystemClock()
  while (!(await condition())) await new Promise<void>((resolve) => void system.setTimeout(resolve, 5))
}

it('a fake that restarts 20 times while it listens leaks no listener, and accepts connections in the end', async () => {
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => void warnings.push(warning)
  process.on('warning', onWarning)
  onTestFinished(() => void process.off('warning', onWarning))
  const fake = new FakeOrchestrator({ clock: new ManualClock() })
  await using server = await fake.listen()
  for (let count = 0; count < 20; count += 1) {
    fake.restart({ downMs: 5 })
    fake.restart()
  }
  const isAnswering = () =>
    fetch(`${server.url}/engines`, { headers: auth }).then(
      ({ status }) => status === 200,
      () => false,
    )
  await until(isAnswering)
  expect(warnings).toEqual([])
})

it('a fake that is closed during a restart stays closed', async () => {
  const fake = new FakeOrchestrator({ clock: new ManualClock() })
  const server = await fake.listen()
  fake.restart({ downMs: 5 })
  fake.restart()
  await server.close()
  await expect(fetch(`${server.url}/engines`, { headers: auth })).rejects.toThrow('fetch failed')
})
