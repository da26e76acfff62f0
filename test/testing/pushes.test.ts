import { describe, expect, it } from 'vitest'
import { FakeOrchestrator, ManualClock } from '../../src/testing/index.ts'
import { Calls } from './calls.ts'

interface Push {
  meta: { reason: string }
  payload: { engines: Record<string, unknown>[]; streams: Record<string, unknown>[]; timestamp: string; orchestrator_status: object }
  type: string
}

/** Connects to the event stream and collects its messages. */
async function connect(fake: FakeOrchestrator): Promise<{ pushes: Push[]; texts: string[]; isEnded: () => boolean; stop: () => void }> {
  const { subscribe } = await fake.handle({ method: 'GET', path: '/api/v1/events/stream', authorization: 'Bearer testkey' })
  const pushes: Push[] = []
  const texts: string[] = []
  let isEnded = false
  const onText = (text: string): void => {
    texts.push(text)
    const [, data] = /^event: full_sync\ndata: (.*)\n\n$/.exec(text) ?? []
    if (data !== undefined) pushes.push(JSON.parse(data))
  }
  const stop =
    subscribe?.({
      onText,
      onEnd: () => {
        isEnded = true
      },
    }) ?? (() => {})
  return { pushes, texts, isEnded: () => isEnded, stop }
}

describe('the pushes of v1', () => {
  it('arrive on connecting and then every second, even if nothing has changed', async () => {
    const { fake, clock } = new Calls('v1', { engines: 2 })
    const { pushes, stop } = await connect(fake)
    expect(pushes.map(({ meta }) => meta.reason)).toEqual(['initial_sync'])
    await clock.advance(3_000)
    expect(pushes.map(({ meta }) => meta.reason)).toEqual(['initial_sync', 'state_change', 'state_change', 'state_change'])
    expect(pushes[3]?.payload.engines).toHaveLength(2)
    expect(pushes[3]?.payload.orchestrator_status).not.toHaveProperty('provisioning.blocked_reason')
    stop()
    await clock.advance(3_000)
    expect(pushes).toHaveLength(4)
    expect(clock.pendingCount).toBe(0)
  })

  it('have a later timestamp than the starts that they contain, even if the clock stands still', async () => {
    const calls = new Calls('v1')
    const before = await connect(calls.fake)
    const { body } = await calls.start('s', calls.engine(0))
    const after = await connect(calls.fake)
    const startedAt = (body as { started_at: string }).started_at
    // Compare numbers, not text: whole seconds have no fraction.
    const toMicros = (time: string): number =>
      Date.parse(`${time.slice(0, 19)}Z`) * 1_000 + Number(`0${/\.\d+/.exec(time)?.[0] ?? ''}`) * 1e6
    expect(toMicros(before.pushes[0]?.payload.timestamp ?? '')).toBeLessThan(toMicros(startedAt))
    expect(toMicros(after.pushes[0]?.payload.timestamp ?? '')).toBeGreaterThan(toMicros(startedAt))
    expect(after.pushes[0]?.payload.streams).toMatchObject([{ id: 's' }])
    before.stop()
    after.stop()
  })

  it('include a keep-alive message every 15 s, and end with a restart', async () => {
    const { fake, clock } = new Calls('v1')
    const { texts, isEnded } = await connect(fake)
    await clock.advance(15_000)
    expect(texts).toContain(': keep-alive\n\n')
    fake.restart()
    expect(isEnded()).toBe(true)
    expect(clock.pendingCount).toBe(0)
    const again = await connect(fake)
    expect(again.pushes[0]?.payload.engines).toHaveLength(3)
    again.stop()
  })

  it.each([undefined, 'Bearer wrong'])('require the key: status 401 with Authorization %s', async (authorization) => {
    const fake = new FakeOrchestrator({ generation: 'v1', clock: new ManualClock() })
    const response = await fake.handle({ method: 'GET', path: '/api/v1/events/stream', authorization })
    expect(response).toMatchObject({ status: 401, body: 'unauthorized\n' })
  })

  it('do not exist in the Python generations', async () => {
    const { fake } = new Calls('2026-04')
    expect((await fake.handle({ method: 'GET', path: '/events/stream', authorization: 'Bearer testkey' })).status).toBe(404)
  })
})
