import { describe, expect, it } from 'vitest'
import { ConnectionError } from '../../src/errors.ts'
import { GENERATIONS } from '../../src/testing/index.ts'
import { Calls } from './calls.ts'

describe.each(GENERATIONS)('%s', (generation) => {
  it('H4: a request whose response is lost is still applied', async () => {
    const calls = new Calls(generation)
    calls.fake.inject({ kind: 'lost-answer', route: 'POST /events/stream_started' })
    const giveUp = new AbortController()
    const starting = calls.send('POST', '/events/stream_started', startOf(calls, 's'), giveUp.signal)
    await calls.clock.advance(3_000)
    giveUp.abort(new Error('given up'))
    await expect(starting).rejects.toThrow('given up')
    expect(calls.fake.liveStreamIds()).toEqual(['s'])
  })

  it('H4: a slow request is applied after the caller gave up', async () => {
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

  it('H9: a restart forgets all streams and replaces all engines under their old names and ports', async () => {
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
    ['after the downMs of the second restart', 4_000, 4_000],
    ['after the downMs of the second restart', 30_000, 30_000],
  ])('H9: if the orchestrator restarts again during a restart, it accepts connections %s (downMs: %s)', async (_, downMs, untilUpMs) => {
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
    // Nothing changes when the downMs of the first restart is over.
    await calls.clock.advance(30_000)
    expect([await calls.engines(), await overSocket()]).toMatchObject([[{}, {}], 200])
  })

  it('H9: after a restart, a stream that is announced again joins the new engine at its old address, except on v1', async () => {
    const calls = new Calls(generation, { engines: 1 })
    const old = calls.fake.engines[0]
    calls.fake.restart()
    const { body } = await calls.start('s', old?.containerId ?? '', { host: old?.host ?? '', port: old?.port ?? 0 })
    // v1 lists the stream on the engine that is gone. Python finds the engine by its address.
    expect(body).toMatchObject({ container_id: generation === 'v1' ? old?.containerId : calls.engine(0) })
  })

  it('H9: a restart breaks the requests in flight', async () => {
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

describe('H10: when the container of an engine vanishes', () => {
  it('2025-10 lists the engine for up to 10 s, then removes it and ends its streams', async () => {
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

  it('2026-04 moves its streams to another engine; if there is none, they wait for the next engine', async () => {
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

  it('v1 replaces the engine, and keeps its streams on the old one until a request ends them', async () => {
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

describe('H21: a draining engine stays listed with its streams until its container has stopped', () => {
  it('v1 lists the engine with draining: true', async () => {
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

  it('Python lists the engine like any other until it vanishes', async () => {
    const calls = new Calls('2026-04', { engines: 2 })
    calls.fake.drainEngine(calls.engine(0), 5_000)
    expect(await calls.engines()).toHaveLength(2)
    expect(calls.fake.engines[0]?.draining).toBe(true)
    await calls.clock.advance(5_000)
    expect(await calls.engines()).toHaveLength(1)
  })
})

describe('H20: an engine on v1', () => {
  it('is healthy from its first entry on and never anything else, for an hour', async () => {
    const calls = new Calls('v1', { engines: 0 })
    await calls.provision()
    const seen = new Set<unknown>()
    for (let passedMs = 0; passedMs < 3_600_000; passedMs += passedMs < 60_000 ? 1_000 : 60_000) {
      for (const { health_status } of (await calls.engines()) as { health_status: unknown }[]) seen.add(health_status)
      await calls.clock.advance(passedMs < 60_000 ? 1_000 : 60_000)
    }
    expect(seen).toEqual(new Set(['healthy']))
  })
})

describe('H16: the health of a new engine on Python', () => {
  it('is unknown until the first health check, 20 s later', async () => {
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
