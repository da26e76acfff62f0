import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { FAULT_KINDS, type FaultKind, GENERATIONS, seededRandom } from '../../src/testing/index.ts'
import { Calls } from './calls.ts'

/** For each kind of fault: whether the request is applied, and what the caller gets. */
const EXPECTED: Readonly<Record<FaultKind, { isApplied: boolean; seen: object | 'nothing' | 'connection' }>> = {
  'lost-request': { isApplied: false, seen: 'nothing' },
  'lost-answer': { isApplied: true, seen: 'nothing' },
  refused: { isApplied: false, seen: 'connection' },
  reset: { isApplied: false, seen: 'connection' },
  'reset-after': { isApplied: true, seen: 'connection' },
  delay: { isApplied: true, seen: { status: 200 } },
  status: { isApplied: false, seen: { status: 503, text: '' } },
  html: { isApplied: false, seen: { status: 502, text: expect.stringContaining('<html>') } },
  redirect: { isApplied: false, seen: { status: 307 } },
  garbage: { isApplied: true, seen: { status: 200, text: expect.stringContaining('not json') } },
  truncated: { isApplied: true, seen: { status: 200, text: expect.stringMatching(/^\{".*[^}]$/s) } },
  empty: { isApplied: true, seen: { status: 200, text: '' } },
  oversized: { isApplied: true, seen: { status: 200 } },
}

describe.each(GENERATIONS)('a fake orchestrator of %s', (generation) => {
  it.each(FAULT_KINDS)('lets a fault of kind %s hit one request, with the documented effect', async (kind) => {
    const calls = new Calls(generation)
    const handle = calls.fake.inject({ kind, route: 'POST /events/stream_started' })
    const { isApplied, seen } = EXPECTED[kind]
    const giveUp = new AbortController()
    let outcome: unknown = 'nothing'
    const request = {
      method: 'POST',
      path: `${generation === 'v1' ? '/api/v1' : ''}/events/stream_started`,
      authorization: 'Bearer testkey',
      contentType: 'application/json',
      body: JSON.stringify({
        content_id: 's',
        container_id: calls.engine(0),
        engine: { host: 'gluetun', port: 19_000 },
        stream: { key_type: 'infohash', key: 'k' },
        session: { playback_session_id: 'p', stat_url: 'http://e/s', command_url: 'http://e/c', is_live: 1 },
        labels: { stream_id: 's' },
      }),
      signal: giveUp.signal,
    }
    const settled = calls.fake.handle(request).then(
      ({ status, body }) => {
        outcome = { status, text: body }
      },
      (error: unknown) => {
        outcome = error
      },
    )
    await calls.clock.advance(60_000)
    expect(calls.fake.liveStreamIds()).toEqual(isApplied ? ['s'] : [])
    expect(handle.hits).toBe(1)
    if (seen === 'nothing') {
      expect(outcome).toBe('nothing')
      giveUp.abort('enough')
      await settled
      expect(outcome).toBe('enough')
    } else if (seen === 'connection') {
      expect(outcome).toMatchObject({ code: 'CONNECTION', maybeProcessed: kind !== 'refused' })
    } else {
      expect(outcome).toMatchObject(seen)
    }
    expect(getEventListeners(giveUp.signal, 'abort')).toHaveLength(0)
    // The fault hits only once.
    expect((await calls.start('next', calls.engine(1))).status).toBe(200)
  })
})

describe('a fault', () => {
  it('hits only its own routes, and with times: Infinity all their requests until it is removed', async () => {
    const calls = new Calls('2025-10')
    const handle = calls.fake.inject({
      kind: 'status',
      status: 500,
      route: ['GET /engines', 'GET /streams'],
      times: Number.POSITIVE_INFINITY,
    })
    expect((await calls.send('GET', '/engines')).status).toBe(500)
    expect((await calls.send('GET', '/streams?status=started')).status).toBe(500)
    expect((await calls.send('GET', '/orchestrator/status')).status).toBe(200)
    handle.remove()
    expect((await calls.send('GET', '/engines')).status).toBe(200)
    expect(handle.hits).toBe(2)
  })

  it('sets the status, headers and body of the response', async () => {
    const calls = new Calls('2025-10')
    calls.fake.inject({ kind: 'status', status: 429, headers: { 'Retry-After': '7' }, body: 'slow down' })
    const response = await calls.fake.handle({ method: 'GET', path: '/engines' })
    const date = 'Thu, 01 Jan 2026 00:00:00 GMT'
    expect(response).toEqual({ status: 429, headers: { date, 'retry-after': '7' }, body: 'slow down' })
  })

  it('with a probability of 0.3 hits some of 200 requests, and the same ones again with the same seed', async () => {
    const hitsOf = async (seed: number): Promise<boolean[]> => {
      const calls = new Calls('2025-10', { random: seededRandom(seed) })
      const handle = calls.fake.inject({ kind: 'status', times: Number.POSITIVE_INFINITY, probability: 0.3 })
      const isHit: boolean[] = []
      for (let request = 0; request < 200; request++) {
        const before = handle.hits
        await calls.engines().catch(() => {})
        isHit.push(handle.hits > before)
      }
      return isHit
    }
    const hits = await hitsOf(1)
    const count = hits.filter(Boolean).length
    expect(count).toBeGreaterThan(30)
    expect(count).toBeLessThan(90)
    expect(await hitsOf(1)).toEqual(hits)
    expect(await hitsOf(2)).not.toEqual(hits)
  })

  it('of kind delay delays the response, and with applyLate the request too', async () => {
    for (const applyLate of [false, true]) {
      const calls = new Calls('2025-10')
      calls.fake.inject({ kind: 'delay', delayMs: 4_000, applyLate })
      let isAnswered = false
      const starting = calls.start('s', calls.engine(0)).then(() => {
        isAnswered = true
      })
      await calls.clock.advance(3_999)
      expect(calls.fake.liveStreamIds()).toEqual(applyLate ? [] : ['s'])
      expect(isAnswered).toBe(false)
      await calls.clock.advance(1)
      await starting
      expect(calls.fake.liveStreamIds()).toEqual(['s'])
    }
  })
})

describe('latency', () => {
  it('passes on the fake’s clock, half of it before the request is applied', async () => {
    const calls = new Calls('2026-04')
    calls.fake.latencyMs = (route) => (route === 'POST /events/stream_started' ? 1_000 : 0)
    const starting = calls.start('s', calls.engine(0))
    await calls.clock.advance(499)
    expect(calls.fake.liveStreamIds()).toEqual([])
    await calls.clock.advance(1)
    expect(calls.fake.liveStreamIds()).toEqual(['s'])
    await calls.clock.advance(500)
    expect((await starting).status).toBe(200)
    expect((await calls.send('GET', '/engines')).status).toBe(200)
  })
})

it('a request whose signal is already aborted does not reach the orchestrator', async () => {
  const calls = new Calls('2025-10')
  await expect(calls.send('GET', '/engines', undefined, AbortSignal.abort('no'))).rejects.toBe('no')
  expect(calls.fake.counters.requests.total).toBe(0)
})
