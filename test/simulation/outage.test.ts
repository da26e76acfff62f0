import { CapacityError, type EngineLease } from 'acestream-orchestrator-client'
import { type FakeOrchestrator, GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { playback, setup } from '../support/setup.ts'
import { enginesOf, type Row, readTrace, type TracedViewer, viewersOf } from './trace-rows.ts'

const LIMIT = 2
/** How long the orchestrator took to refuse the proxy's requests, and to start an engine. The proxy's own time-out was shorter (H12). */
const PROVISION_MS = 6_000
const ROUTE = 'POST /provision/acestream'

const proxyRows = readTrace('proxy-2025-10-13.jsonl')
const orchestratorRows = readTrace('orchestrator-2025-10-13.jsonl')
const GO_PROXY_REQUESTS = proxyRows.filter(({ event }) => event === 'provision_attempt_failed').length

/** Repeats a row of the orchestrator's trace on the fake. Engines that the proxy had requested start only if this client requests them. */
function replay(fake: FakeOrchestrator, { event, engine = '', by }: Row): void {
  const isListed = fake.engines.some(({ containerId }) => containerId === engine)
  if (event === 'engine_created' && by === 'autoscaler') fake.addEngine({ containerId: engine })
  else if (event === 'engine_removed' && isListed) fake.removeEngine(engine)
  else if (event === 'vpn_unhealthy' || event === 'vpn_healthy') {
    const isDown = event === 'vpn_unhealthy'
    fake.setProvisioning({ refuse: isDown ? 'vpn_disconnected' : undefined })
    for (const { containerId } of fake.engines) fake.updateEngine(containerId, { healthStatus: isDown ? 'unhealthy' : 'healthy' })
  }
}

describe.each(GENERATIONS)('a client in a replay of the outage of 2025-10-13, with the events of its orchestrator, on %s', (generation) => {
  it.each([
    ['do not wait', 0, 0],
    // These viewers wait for less time than a request takes. So later viewers cause new requests before the first is refused.
    ['wait 5 s', 7, 5_000],
    ['wait 10 s', 7, 10_000],
    ['wait 30 s (the default)', 7, undefined],
  ])(
    '[I1] refuses viewers only with a reason and a retry time; if they %s, it sends at most %d engine requests instead of 30',
    async (_, most, waitMs) => {
      const created = new Set(orchestratorRows.flatMap(({ event, engine }) => (event === 'engine_created' ? [engine] : [])))
      const engines = [...enginesOf(proxyRows)].filter((id) => !created.has(id)).map((containerId) => ({ containerId }))
      const { client, fake, clock } = setup(
        { generation, engines, latencyMs: 30, maxReplicas: 20, provisionDelayMs: PROVISION_MS },
        { maxStreamsPerEngine: LIMIT },
      )
      const began = clock.now()
      const until = (t: number): Promise<void> => clock.advance(Math.max(0, began + t - clock.now()))
      const outcomes = { served: 0, refused: 0, reasons: new Set<string>() }

      const watch = async ({ content, until: leavesAt }: TracedViewer, index: number): Promise<void> => {
        let lease: EngineLease
        try {
          lease = await client.acquireEngine(waitMs === undefined ? {} : { waitMs })
        } catch (error) {
          expect(error).toBeInstanceOf(CapacityError)
          const { reason, retryAfterMs = 0 } = error as CapacityError
          expect(reason).not.toBe('')
          expect(retryAfterMs).toBeGreaterThanOrEqual(1_000)
          outcomes.refused += 1
          outcomes.reasons.add(reason)
          return
        }
        outcomes.served += 1
        const stream = await lease.startStream(playback(`${index.toString(16).padStart(4, '0')}${content.slice(4)}`, `viewer-${index}`))
        await new Promise<void>((resolve) => clock.setTimeout(resolve, Math.max(0, began + leavesAt - clock.now())))
        await stream.end('stream_done')
      }

      const viewers = viewersOf(proxyRows)
      const lives: Promise<void>[] = []
      const rows = [
        ...viewers.map((viewer, index) => ({ t: viewer.at, run: () => void lives.push(watch(viewer, index)) })),
        ...orchestratorRows.map((row) => ({ t: row.t, run: () => replay(fake, row) })),
      ].toSorted((a, b) => a.t - b.t)
      for (const { t, run } of rows) {
        await until(t)
        run()
      }
      await clock.advance(60_000)
      await Promise.all(lives)

      const requests = fake.counters.requests.byRoute[ROUTE] ?? 0
      expect(outcomes.served + outcomes.refused).toBe(viewers.length)
      expect(GO_PROXY_REQUESTS).toBe(30)
      expect(requests).toBeLessThanOrEqual(most)
      // 2026-04 moves the streams of a removed engine to another one, even if that is full (H10).
      const peaks = generation === '2026-04' ? [] : Object.values(fake.counters.peakLoad)
      for (const peak of peaks) expect(peak).toBeLessThanOrEqual(LIMIT)
      expect(client.metrics().leases).toMatchObject({ active: 0, waiting: 0 })
    },
  )
})
