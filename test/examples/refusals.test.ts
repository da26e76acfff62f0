import {
  AuthenticationError,
  CapacityError,
  CircuitOpenError,
  ConnectionError,
  ContentError,
  PlaybackError,
  StoreError,
} from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { toRefusal } from '../../examples/proxy/answers.ts'
import { EngineError } from '../../examples/proxy/engine-request.ts'
import { singleEngine } from '../../examples/proxy/single-engine.ts'
import { eventually, expectFurtherBytes, infohash, stage, startEngine, startProxy, view } from './stage.ts'

describe('a request that gets no stream', () => {
  it('gets status 503 with a reason and a Retry-After', async () => {
    // Shorter than the 17 s after which the orchestrator advises to come back: the viewer is refused as soon as it has refused an engine, after 2 s.
    const { fake, url } = await stage({ proxy: { capacityTimeoutMs: 16_000 } })
    await view(url, 1)
    const answer = await fetch(`${url}/ace/getstream?infohash=${infohash(2)}`)
    expect(answer.status).toBe(503)
    const retryAfterS = Number(answer.headers.get('retry-after'))
    expect(retryAfterS).toBeGreaterThan(0)
    expect(retryAfterS).toBeLessThanOrEqual(17)
    expect(await answer.json()).toMatchObject({ reason: 'vpn_disconnected', retry_after: retryAfterS })
    expect(fake.liveStreamIds()).toHaveLength(1)
  })

  it.each([
    ['no content', ''],
    ['both an id and an infohash', '?id=a&infohash=b'],
    ['two ids', '?id=a&id=b'],
    ['an empty id', '?id='],
  ])('gets status 400 if it names %s', async (_, query) => {
    const { url } = await stage()
    const answer = await fetch(`${url}/ace/getstream${query}`)
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({ reason: 'bad_request' })
  })

  it('gets status 404 on other paths, and 405 for other methods', async () => {
    const { url } = await stage()
    expect((await fetch(`${url}/ace/manifest?id=a`)).status).toBe(404)
    const answer = await fetch(`${url}/ace/getstream?id=a`, { method: 'POST' })
    expect(answer.status).toBe(405)
    expect(answer.headers.get('allow')).toBe('GET, HEAD, OPTIONS')
  })

  it('gets status 502 if the orchestrator rejects the key, because a retry would fail too', async () => {
    const { url, fake } = await stage({ client: { apiKey: 'wrong' } })
    const answer = await fetch(`${url}/ace/getstream?infohash=${infohash()}`)
    expect(answer.status).toBe(502)
    expect(await answer.json()).toMatchObject({ reason: 'orchestrator_authentication' })
    expect(fake.counters.startsApplied).toBe(0)
  })

  it('acquires no engine for the method HEAD', async () => {
    const { fake, url } = await stage()
    const answer = await fetch(`${url}/ace/getstream?id=a`, { method: 'HEAD' })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('video/mp2t')
    expect(fake.counters.requests.total).toBe(0)
  })
})

describe('a viewer who gets no engine', () => {
  const ADDRESS = 'http://orchestrator.internal:8000'

  it.each([
    [
      'all engines are full',
      new CapacityError('no engine became free', { reason: 'full', retryAfterMs: 7_000, shouldWait: true, canRetry: true }),
      { status: 503, reason: 'full', retryAfterMs: 7_000, error: 'no engine became free' },
    ],
    [
      'the engine list cannot be read',
      new CapacityError(ADDRESS, { reason: 'unreachable', retryAfterMs: 7_000, shouldWait: true, canRetry: true }),
      { status: 503, reason: 'unreachable', retryAfterMs: 7_000 },
    ],
    [
      'the orchestrator cannot be reached',
      new ConnectionError(ADDRESS, { maybeProcessed: false }),
      { status: 503, reason: 'unreachable', retryAfterMs: 5_000 },
    ],
    [
      'the circuit breaker is open',
      new CircuitOpenError(ADDRESS, { retryAfterMs: 9_000 }),
      { status: 503, reason: 'unreachable', retryAfterMs: 9_000 },
    ],
    [
      'the orchestrator rejects the key',
      new AuthenticationError(ADDRESS, { status: 401, body: '' }),
      { status: 502, reason: 'orchestrator_authentication' },
    ],
    [
      'the store is unavailable',
      new StoreError(ADDRESS, { reason: 'unavailable' }),
      { status: 503, reason: 'store_unavailable', retryAfterMs: 5_000 },
    ],
  ])('gets a reason, a Retry-After if a retry can help, and no internal address if %s', (_, error, expected) => {
    const refusal = toRefusal(error)
    expect(refusal).toMatchObject(expected)
    expect(refusal.retryAfterMs).toBe('retryAfterMs' in expected ? expected.retryAfterMs : undefined)
    expect(refusal.error).not.toContain('internal')
  })
})

describe('a viewer whose content no engine plays', () => {
  it.each([
    ['every engine that was tried failed', new PlaybackError('engine 1: down', { attempts: [], retryAfterMs: 9_000 }), 9_000],
    ['an engine refused the content', new ContentError('engine 1: dead'), 5_000],
    ['a second engine failed before the first byte', new EngineError('engine 1: down'), 5_000],
  ])('gets status 502 with a Retry-After and no address of an engine if %s', (_, error, retryAfterMs) => {
    const refusal = { status: 502, reason: 'engines_failed', error: 'no engine could play this content', retryAfterMs }
    expect(toRefusal(error)).toEqual(refusal)
  })
})

describe('without an orchestrator', () => {
  it('the only engine serves every viewer', async () => {
    const engine = await startEngine()
    const { url } = await startProxy({ source: singleEngine(engine) })
    await Promise.all([view(url, 1), view(url, 2)])
    expect(engine.sessions.size).toBe(2)
  })

  it('a viewer whose session breaks off gets another one from the same engine, once', async () => {
    const engine = await startEngine()
    const { proxy, url } = await startProxy({ source: singleEngine(engine) })
    const viewer = await view(url)
    engine.breakOff()
    await eventually(() => expect(proxy.figures).toEqual({ rescued: 1, cutOff: 0, tooSlow: 0 }))
    await expectFurtherBytes(viewer)
    engine.breakOff()
    await viewer.gone
    expect(viewer.reason).toBe('cut off during the stream')
    expect(proxy.figures).toEqual({ rescued: 1, cutOff: 1, tooSlow: 0 })
    await eventually(() => expect(engine.sessions.size).toBe(0))
  })

  it('an engine that fails is tried only once', async () => {
    const engine = await startEngine()
    engine.misbehaviour = 'errors'
    const { url } = await startProxy({ source: singleEngine(engine) })
    expect((await fetch(`${url}/ace/getstream?id=a`)).status).toBe(502)
    expect(engine.requestCount).toBe(1)
  })

  it('/ace/status shows the number of viewers', async () => {
    const { url } = await startProxy({ source: singleEngine(await startEngine()) })
    await view(url)
    expect(await (await fetch(`${url}/ace/status`)).json()).toEqual({
      status: 'ok',
      viewers: 1,
      rescued: 0,
      cutOff: 0,
      tooSlow: 0,
      streams: { live: 1 },
    })
  })
})
