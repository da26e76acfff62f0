import { describe, expect, it } from 'vitest'
import { ConnectionError } from '../../src/errors.ts'
import { GENERATIONS } from '../../src/testing/index.ts'
import { Calls } from './calls.ts'

describe.each(GENERATIONS)('%s', (generation) => {
  it('hazard 4: a lost answer is not a lost request', async () => {
    const calls = new Calls(generation)
    calls.fake.inject({ kind: 'lost-answer', route: 'POST /events/stream_started' })
    const giveUp = new AbortController()
    const starting = calls.send('POST', '/events/stream_started', startOf(calls, 's'), giveUp.signal)
    await calls.clock.advance(3_000)
    giveUp.abort(new Error('given up'))
    await expect(starting).rejects.toThrow('given up')
    expect(calls.fake.liveStreamIds()).toEqual(['s'])
  })

  it('hazard 4: what was slow is applied after the caller gave up', async () => {
    const calls = new Calls(generation)
    calls.fake.inject({ kind: 'delay', delayMs: 4_000, applyLate: true })
    const giveUp = new AbortController()
    const starting = calls.send('POST', '/events/stream_started', startOf(calls, 's'), giveUp.signal)
    await calls.clock.advance(3_000)
    giveUp.abort(new Error('given up'))
    await expect(starting).rejects.toThrow('given up')
    expect(calls.fake.liveStreamIds()).toEqual([])
    await calls.clock.advance(1_000)
    expect(calls.fake.liveStreamIds()).toEqual(['s'])
  })

  it('hazard 9: a restart forgets streams and replaces engines under their old names and ports', async () => {
    const calls = new Calls(generation, { engines: 2 })
    const before = calls.fake.engines
    await calls.start('s', calls.engine(0), { host: 'rewritten.test', port: 7 })
    calls.fake.restart({ downMs: 20_000 })
    await expect(calls.engines()).rejects.toMatchObject({ code: 'CONNECTION', maybeProcessed: false })
    await calls.clock.advance(20_000)
    expect(await calls.streams()).toEqual([])
    const after = calls.fake.engines
    expect(after.map(({ containerName, host, port }) => [containerName, host, port])).toEqual(
      before.map(({ containerName, host, port }) => [containerName, host, port]),
    )
    for (const { containerId } of before) expect(after.map((engine) => engine.containerId)).not.toContain(containerId)
    expect(calls.fake.counters.refusedWhileDown).toBe(1)
  })

  it.each([
    ['at once', undefined, 0],
    ['after the time of the later one', 4_000, 4_000],
    ['after the time of the later one', 30_000, 30_000],
  ])('hazard 9: a restart during a restart is up again %s (%s ms)', async (_, downMs, untilUpMs) => {
    const calls = new Calls(generation, { engines: 2 })
    await using server = await calls.fake.listen()
    const prefix = generation === 'v1' ? '/api/v1' : ''
    const overSocket = () => fetch(`${server.url}${prefix}/engines`).then(({ status }) => status)
    calls.fake.restart({ downMs: 20_000 })
    await calls.clock.advance(5_000)
    calls.fake.restart({ downMs })
    if (untilUpMs > 0) {
      await calls.clock.advance(untilUpMs - 1)
      await expect(calls.engines()).rejects.toMatchObject({ code: 'CONNECTION' })
      await expect(overSocket()).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } })
      await calls.clock.advance(1)
    }
    expect(await calls.engines()).toHaveLength(2)
    expect(await overSocket()).toBe(200)
    // The end of the first restart's time changes nothing.
    await calls.clock.advance(30_000)
    expect([await calls.engines(), await overSocket()]).toMatchObject([[{}, {}], 200])
  })

  it('hazard 9: announcing a stream from before attaches it to the new engine at the old address', async () => {
    const calls = new Calls(generation, { engines: 1 })
    const old = calls.fake.engines[0]
    calls.fake.restart()
    const { body } = await calls.start('s', old?.containerId ?? '', { host: old?.host ?? '', port: old?.port ?? 0 })
    // v1 lists it on the engine that is gone; Python goes by the address.
    expect(body).toMatchObject({ container_id: generation === 'v1' ? old?.containerId : calls.engine(0) })
  })

  it('hazard 9: a restart breaks what is in flight', async () => {
    const calls = new Calls(generation)
    calls.fake.latencyMs = 1_000
    const reading = calls.engines()
    const outcome = expect(reading).rejects.toMatchObject({ code: 'CONNECTION', maybeProcessed: true })
    await calls.clock.advance(500)
    calls.fake.restart()
    await outcome
    await expect(reading).rejects.toBeInstanceOf(ConnectionError)
  })
})

describe('hazard 10: an engine can vanish', () => {
  it('2025-10 lists it for up to 10 s, then drops it and ends its streams', async () => {
    const calls = new Calls('2025-10')
    await calls.clock.advance(3_000)
    await calls.start('s', calls.engine(0))
    calls.fake.removeEngine(calls.engine(0))
    expect(await calls.engines()).toHaveLength(3)
    expect(calls.fake.engines).toHaveLength(2)
    await calls.clock.advance(6_999)
    expect(await calls.liveIds()).toEqual(['s'])
    await calls.clock.advance(1)
    expect(await calls.engines()).toHaveLength(2)
    expect(await calls.liveIds()).toEqual([])
    expect(calls.fake.log.at(-1)).toMatchObject({ kind: 'ended', by: 'orchestrator' })
  })

  it('2026-04 moves its streams to another engine, and keeps them waiting where there is none', async () => {
    const calls = new Calls('2026-04', { engines: 2 })
    const [first, second] = [calls.engine(0), calls.engine(1)]
    await calls.start('s', first)
    calls.fake.removeEngine(first)
    expect(await calls.streams()).toMatchObject([{ id: 's', container_id: second, status: 'started' }])
    calls.fake.removeEngine(second)
    expect(await calls.streams()).toMatchObject([{ id: 's', status: 'pending_failover' }])
    const third = calls.fake.addEngine()
    expect(await calls.streams()).toMatchObject([{ id: 's', container_id: third, status: 'started' }])
  })

  it('v1 leaves them on an engine that is no longer listed, until somebody ends them, and replaces the engine', async () => {
    const calls = new Calls('v1', { engines: 2 })
    const gone = calls.engine(0)
    await calls.start('s', gone)
    calls.fake.removeEngine(gone)
    expect(await calls.engines()).toHaveLength(1)
    await calls.clock.advance(3_600_000)
    expect(await calls.streams()).toMatchObject([{ id: 's', container_id: gone, status: 'started' }])
    expect(calls.fake.engines).toHaveLength(2)
    await calls.end('s')
    expect(await calls.streams()).toEqual([])
  })
})

describe('hazard 21: a draining engine stays listed with its streams until its container has stopped', () => {
  it('v1 says so', async () => {
    const calls = new Calls('v1', { engines: 1 })
    const draining = calls.engine(0)
    await calls.start('s', draining)
    expect(await calls.send('DELETE', `/engines/${draining}`)).toMatchObject({ status: 202, body: { status: 'deleting' } })
    expect(await calls.engines()).toMatchObject([{ container_id: draining, draining: true, drain_reason: 'manual deletion' }])
    expect(await calls.liveIds()).toEqual(['s'])
    await calls.clock.advance(30_000)
    expect(await calls.engines()).toMatchObject([{ draining: false }])
    expect(await calls.liveIds()).toEqual(['s'])
  })

  it('for Python it is an engine like any other until it vanishes', async () => {
    const calls = new Calls('2026-04', { engines: 2 })
    calls.fake.drainEngine(calls.engine(0), 5_000)
    expect(await calls.engines()).toHaveLength(2)
    expect(calls.fake.engines[0]?.draining).toBe(true)
    await calls.clock.advance(5_000)
    expect(await calls.engines()).toHaveLength(1)
  })
})

describe('hazard 20: v1’s health does not see sickness', () => {
  it('is healthy at once and for ever', async () => {
    const calls = new Calls('v1', { engines: 0 })
    await calls.provision()
    await calls.clock.advance(1_000)
    expect(await calls.engines()).toMatchObject([{ health_status: 'healthy' }])
  })
})

describe('hazard 16: Python does not know the health of an engine just started', () => {
  it('is unknown until the first check', async () => {
    const calls = new Calls('2025-10', { engines: 0 })
    await calls.provision()
    expect(await calls.engines()).toMatchObject([{ health_status: 'unknown', last_health_check: null }])
    await calls.clock.advance(20_000)
    expect(await calls.engines()).toMatchObject([{ health_status: 'healthy' }])
  })
})

function startOf(calls: Calls, id: string): object {
  return {
    content_id: id,
    container_id: calls.engine(0),
    engine: { host: 'gluetun', port: 19_000 },
    stream: { key_type: 'infohash', key: 'k' },
    session: { playback_session_id: 'p', stat_url: 'http://e/stat', command_url: 'http://e/cmd', is_live: 1 },
    labels: { stream_id: id },
  }
}
