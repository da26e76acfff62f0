import { FakeOrchestrator, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { expect, it } from 'vitest'
import { serverClock } from '../../support/server-clock.ts'
import { connect, during, failureOf } from '../../support/setup.ts'

const HOUR_MS = 3_600_000

it.each([
  ['right', 0],
  ['an hour ahead', HOUR_MS],
  ['an hour behind', -HOUR_MS],
  ['50 years behind', -50 * 8_766 * HOUR_MS],
])(
  "a caller is rejected at once with retryAfterMs 300,000 while v1's circuit breaker is open, with the clock of this host %s",
  async (_, deltaMs) => {
    const clock = new ManualClock()
    const fake = new FakeOrchestrator({ generation: 'v1', engines: 0, clock: serverClock(clock), random: seededRandom(1) })
    const client = connect(fake, clock)
    clock.stepWallClock(deltaMs)
    fake.setProvisioning({ refuse: 'circuit_breaker' })
    const from = clock.monotonic()
    const refusal = await during(clock, failureOf(client.acquireEngine({ waitMs: 30_000 })), 10)
    expect(refusal).toMatchObject({ code: 'CAPACITY', reason: 'circuit_breaker', retryAfterMs: 300_000 })
    expect(clock.monotonic() - from).toBe(0)
  },
)
