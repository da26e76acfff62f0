import { describe, expect, it } from 'vitest'
import { FakeOrchestrator, GENERATIONS } from '../../src/testing/index.ts'
import { Calls } from './calls.ts'

describe.each(GENERATIONS)('a fake orchestrator of %s', (generation) => {
  it('counts requests by route, without prefix and ids', async () => {
    const calls = new Calls(generation)
    await calls.engines()
    await calls.streams('?status=started')
    await calls.send('GET', `/engines/${calls.engine(0)}`)
    await calls.send('GET', '/nowhere')
    await calls.start('s', calls.engine(0))
    expect(calls.fake.counters.requests).toEqual({
      total: 5,
      byRoute: {
        'GET /engines': 1,
        'GET /streams': 1,
        'GET /engines/{id}': 1,
        'GET (unknown)': 1,
        'POST /events/stream_started': 1,
      },
    })
    calls.fake.resetCounters()
    expect(calls.fake.counters.requests).toEqual({ total: 0, byRoute: {} })
  })

  it('counts the peak load of each engine, with and without the streams of other proxies', async () => {
    const calls = new Calls(generation)
    const [a, b] = [calls.engine(0), calls.engine(1)]
    calls.fake.startElsewhere({ containerId: a })
    await calls.start('one', a)
    await calls.start('two', a)
    await calls.end('one')
    await calls.start('three', b)
    expect(calls.fake.counters).toMatchObject({ peakLoad: { [a]: 2, [b]: 1 }, peakTotalLoad: { [a]: 3, [b]: 1 }, startsApplied: 3 })
    calls.fake.resetCounters()
    expect(calls.fake.counters).toMatchObject({ peakLoad: { [a]: 1, [b]: 1 }, peakTotalLoad: { [a]: 2, [b]: 1 }, startsApplied: 0 })
  })

  it('does not count streams of other proxies as starts and ends of requests', async () => {
    const calls = new Calls(generation)
    const id = calls.fake.startElsewhere({ containerId: calls.engine(0), streamId: 'theirs', key: 'k' })
    expect(id).toBe('theirs')
    expect(await calls.liveIds()).toEqual(['theirs'])
    expect(calls.fake.streams).toMatchObject([{ id: 'theirs', own: false, status: 'started' }])
    calls.fake.endElsewhere(id)
    calls.fake.endElsewhere(id)
    expect(await calls.liveIds()).toEqual([])
    expect(calls.fake.counters).toMatchObject({ startsApplied: 0, endsApplied: 0, repeatedStarts: 0 })
    expect(calls.fake.log).toMatchObject([
      { kind: 'started', streamId: 'theirs', by: 'elsewhere' },
      { kind: 'ended', streamId: 'theirs', by: 'elsewhere' },
    ])
  })

  it('logs starts and ends in the order in which they were applied', async () => {
    const calls = new Calls(generation)
    await calls.start('s', calls.engine(0))
    await calls.clock.advance(1_000)
    await calls.end('s')
    const [started, ended] = calls.fake.log
    expect(started).toMatchObject({ kind: 'started', streamId: 's', containerId: calls.engine(0), requestedId: 's', by: 'request' })
    expect(ended).toMatchObject({ kind: 'ended', streamId: 's', at: calls.clock.now() })
  })

  it('counts requests that are rejected because the key is missing or wrong', async () => {
    const { fake } = new Calls(generation)
    const path = `${generation === 'v1' ? '/api/v1' : ''}/provision/acestream`
    const request = { method: 'POST', path, contentType: 'application/json', body: '{}' }
    expect((await fake.handle(request)).status).toBe(401)
    expect((await fake.handle({ ...request, authorization: 'Bearer wrong' })).status).toBe(403)
    expect(fake.counters.unauthorized).toBe(2)
  })

  it('requires no key if its apiKey is empty', async () => {
    const fake = new FakeOrchestrator({ generation, apiKey: '' })
    const path = `${generation === 'v1' ? '/api/v1' : ''}/events/stream_ended`
    const request = { method: 'POST', path, contentType: 'application/json', body: '{"content_id":"s","stream_id":"s"}' }
    expect((await fake.handle(request)).status).toBe(200)
  })
})

describe('updateEngine', () => {
  it('changes the listed fields of an engine', async () => {
    const calls = new Calls('2026-04', { engines: 1 })
    const containerId = calls.engine(0)
    calls.fake.updateEngine(containerId, {
      healthStatus: 'unhealthy',
      forwarded: true,
      vpnContainer: 'gluetun_2',
      host: 'h',
      port: 5,
      labels: { a: 'b' },
    })
    expect(await calls.engines()).toMatchObject([
      { health_status: 'unhealthy', forwarded: true, vpn_container: 'gluetun_2', host: 'h', port: 5, labels: { a: 'b' } },
    ])
    expect(() => calls.fake.updateEngine('nope', {})).toThrow('No such engine')
  })
})

describe('the fake orchestrator as a transport', () => {
  it.each([
    ['2025-10', 'http://host.test/orch/engines', 200],
    ['2025-10', 'http://host.test/api/v1/engines', 404],
    ['2025-10', 'http://host.test/orchestrator/engines', 200],
    ['2026-04', 'http://host.test/api/v1/engines', 200],
    ['v1', 'http://host.test/orch/api/v1/engines', 200],
    ['v1', 'http://host.test/engines', 404],
    ['v1', 'http://host.test:8083/engines', 200],
    ['v1', 'http://host.test:8083/api/v1/engines', 404],
  ] as const)('accepts any origin, and any path prefix before the paths of %s: %s gets status %i', async (generation, url, status) => {
    const fake = new FakeOrchestrator({ generation })
    const headers = { Authorization: 'Bearer testkey' }
    const response = await fake.request({ method: 'GET', url: new URL(url), headers, timeoutMs: 1_000 })
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toMatch(/json|text/)
  })

  it('keeps a request for an event stream pending, because the body has no end', async () => {
    const fake = new FakeOrchestrator({ generation: 'v1' })
    const giveUp = new AbortController()
    const url = new URL('http://host.test/api/v1/events/stream')
    const reading = fake.request({ method: 'GET', url, headers: { authorization: 'Bearer testkey' }, timeoutMs: 1, signal: giveUp.signal })
    giveUp.abort('enough')
    await expect(reading).rejects.toBe('enough')
  })
})
