import { CapacityError, type StreamHandle } from 'acestream-orchestrator-client'
import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { playback, setup } from '../support/setup.ts'
import { enginesOf, readTrace, type TracedViewer, viewersOf } from './trace-rows.ts'

const traces = ['proxy-2025-10-12.jsonl', 'proxy-2025-10-13.jsonl']

describe.each(traces)('the incident in %s', (trace) => {
  it.each(GENERATIONS)('[I1] [I4] replayed against %s, puts no engine over its limit and ends no stream of others', async (generation) => {
    const rows = readTrace(trace)
    const viewers = viewersOf(rows)
    const engines = enginesOf(rows).size
    const limit = 2
    const { client, fake, clock } = setup({ generation, engines, latencyMs: 30 }, { maxStreamsPerEngine: limit })
    const began = clock.now()
    const innocent = fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '', key: 'f'.repeat(40) })
    const outcomes = { served: 0, refused: 0, ended: 0 }
    const lives: Promise<void>[] = []

    const watch = async ({ content, until }: TracedViewer, index: number): Promise<void> => {
      let stream: StreamHandle
      try {
        const lease = await client.acquireEngine({ waitMs: 5_000 })
        // Each viewer has its own key: an end on 2026-04 also ends all other streams of the same content (H6).
        const key = `${index.toString(16).padStart(4, '0')}${content.slice(4)}`
        stream = await lease.startStream(playback(key, `viewer-${index}`))
      } catch (error) {
        if (!(error instanceof CapacityError)) throw error
        expect(error.reason).not.toBe('')
        expect(error.retryAfterMs).toBeGreaterThan(0)
        outcomes.refused += 1
        return
      }
      outcomes.served += 1
      await new Promise<void>((resolve) => clock.setTimeout(resolve, Math.max(0, began + until - clock.now())))
      const { outcome } = await stream.end('stream_done')
      expect(outcome).toBe('delivered')
      outcomes.ended += 1
    }

    for (const [index, viewer] of viewers.entries()) {
      await clock.advance(Math.max(0, began + viewer.at - clock.now()))
      lives.push(watch(viewer, index))
    }
    await clock.advance(Math.max(...viewers.map(({ until }) => until)) + 60_000)
    await Promise.all(lives)

    expect(outcomes.served + outcomes.refused).toBe(viewers.length)
    expect(outcomes.served).toBeGreaterThan(20)
    for (const peak of Object.values(fake.counters.peakLoad)) expect(peak).toBeLessThanOrEqual(limit)
    expect(fake.counters).toMatchObject({
      startsApplied: outcomes.served,
      endsApplied: outcomes.served,
      innocentsEnded: 0,
      repeatedStarts: 0,
    })
    expect(fake.liveStreamIds()).toEqual([innocent])
    // The Go client asked for the list and then for the streams of each engine, for every viewer.
    const lists = (fake.counters.requests.byRoute['GET /engines'] ?? 0) + (fake.counters.requests.byRoute['GET /streams'] ?? 0)
    expect(lists).toBeLessThan((viewers.length * (1 + engines)) / 4)
  })
})
