import { describe, expect, it } from 'vitest'
import { eventually, stage, view } from './stage.ts'

const EVENTS = ['POST /events/stream_started', 'POST /events/stream_ended']

describe('while no event can be delivered', () => {
  it('a viewer is served, and its stream is announced after the outage', async () => {
    const { fake, client, url } = await stage({ client: { retry: { baseDelayMs: 20, maxDelayMs: 50 }, circuitBreaker: false } })
    const outage = fake.inject({ kind: 'reset', route: EVENTS, times: Number.POSITIVE_INFINITY })
    const viewer = await view(url)
    expect(viewer.state).toBe('watching')
    await eventually(() => expect(client.metrics().events.retried).toBeGreaterThan(1))
    outage.remove()
    await eventually(() => expect(fake.liveStreamIds()).toHaveLength(1))
    expect(viewer.state).toBe('watching')
    await viewer.leave()
    await eventually(() => expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1 }))
  })

  it('a viewer can leave at once, and the next viewer gets the slot before the end is delivered', async () => {
    const { fake, client, engines, proxy, url } = await stage({
      client: { retry: { baseDelayMs: 20, maxDelayMs: 50 } },
      proxy: { capacityTimeoutMs: 600_000 },
    })
    const first = await view(url, 1)
    const outage = fake.inject({ kind: 'reset', route: EVENTS, times: Number.POSITIVE_INFINITY })
    await first.leave()
    await eventually(() => expect(proxy.viewers).toBe(0))
    await eventually(() => expect(client.metrics()).toMatchObject({ events: { pending: 1 }, streams: { live: 0 } }))
    // Waits for the slot only until the session is stopped.
    const second = await view(url, 2)
    expect(second.state).toBe('watching')
    expect(engines[0]?.peak).toBe(1)
    outage.remove()
    await second.leave()
    await client.flush()
    await eventually(() => expect(fake.liveStreamIds()).toEqual([]))
    expect(fake.counters).toMatchObject({ innocentsEnded: 0, repeatedEnds: 0, repeatedStarts: 0 })
  })

  it('a shutdown ends within its time limit and reports the undelivered end', async () => {
    const { fake, proxy, url } = await stage({ client: { circuitBreaker: false } })
    const viewer = await view(url)
    viewer.isOver = true
    fake.inject({ kind: 'lost-request', route: EVENTS, times: Number.POSITIVE_INFINITY })
    const report = await proxy.close({ timeoutMs: 500 })
    expect(report.undelivered).toMatchObject([{ event: 'ended' }])
    await viewer.gone
  })
})
