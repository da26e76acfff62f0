import { expect, it } from 'vitest'
import { during, playback, setup } from '../../support/setup.ts'

it('[I5] a stream ends at the orchestrator if that restarted before its start and the answer of the start was lost', async () => {
  const { client, clock, fake } = setup({ engines: 1 }, { reconcileIntervalMs: 10_000 })
  const lease = await client.acquireEngine()
  fake.restart()
  await clock.advance(3_900)
  fake.inject({ kind: 'lost-answer', route: 'POST /events/stream_started' })
  const stream = await during(clock, lease.startStream(playback()))
  const ended = stream.end()
  await clock.advance(300_000)
  // It is reported as delivered, with 0 attempts.
  expect([(await ended).outcome, fake.liveStreamIds()]).toEqual(['delivered', []])
})
