import { CapacityError, OrchestratorClient } from 'acestream-orchestrator-client'
import { FakeOrchestrator, ManualClock } from 'acestream-orchestrator-client/testing'
import { afterEach, describe, expect, it, vi } from 'vitest'

afterEach(() => {
  vi.useRealTimers()
})

/** A client whose only engine is taken, and a call that waits half a minute for it. */
async function waitForFullEngine(clock?: ManualClock) {
  const fake = new FakeOrchestrator({ engines: 1, clock })
  const client = new OrchestratorClient({ baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, clock, transport: fake })
  const lease = await client.acquireEngine()
  const refused = expect(client.acquireEngine({ provision: false, waitMs: 30_000 })).rejects.toThrow(CapacityError)
  return { client, lease, refused }
}

describe('in a test with vi.useFakeTimers()', () => {
  it('a client without a clock follows the fake timers', async () => {
    vi.useFakeTimers()
    const { client, lease, refused } = await waitForFullEngine()
    await vi.advanceTimersByTimeAsync(30_000)
    await refused
    await lease.release()
    await client.close()
  })

  it('a client with a ManualClock follows that clock', async () => {
    vi.useFakeTimers()
    const clock = new ManualClock()
    const { client, lease, refused } = await waitForFullEngine(clock)
    await clock.advance(30_000)
    await refused
    await lease.release()
    await client.close()
    expect(vi.getTimerCount()).toBe(0)
  })
})
