import { createHook } from 'node:async_hooks'
import { OrchestratorClient } from 'acestream-orchestrator-client'
import { FakeOrchestrator, ManualClock } from 'acestream-orchestrator-client/testing'
import { expect, test } from 'vitest'
import { playback } from '../support/setup.ts'

/** A clock that counts the timers that were armed. */
class CountingClock extends ManualClock {
  armed = 0
  override setTimeout(...timer: Parameters<ManualClock['setTimeout']>): ReturnType<ManualClock['setTimeout']> {
    this.armed += 1
    return super.setTimeout(...timer)
  }
}

/** A client whose requests are answered at once. */
function connect() {
  const clock = new CountingClock()
  const fake = new FakeOrchestrator({ engines: 2, clock })
  const options = { apiKey: fake.apiKey, transport: fake, clock, dialect: 'unversioned' as const, cacheTtlMs: 3_600_000 }
  const quiet = { healthIntervalMs: 0, sweepIntervalMs: 0, reconcileIntervalMs: 0 }
  return { fake, clock, client: new OrchestratorClient({ baseUrl: 'http://orchestrator.test', ...options, ...quiet }) }
}

/** The number of promises that `work` makes, those of its awaits included. */
async function promisesOf(work: () => Promise<unknown>): Promise<number> {
  let count = 0
  const init = (_id: number, type: string): void => {
    if (type === 'PROMISE') count += 1
  }
  const hook = createHook({ init }).enable()
  await work()
  hook.disable()
  return count
}

const key = 'a'.repeat(40)

test('a stream that is acknowledged at once makes few promises from its lease to its end, beside those of its two requests', async () => {
  const { client, fake } = connect()
  const headers = { authorization: `Bearer ${fake.apiKey}` }
  const request = { method: 'GET' as const, url: new URL('http://orchestrator.test/engines'), headers, timeoutMs: 1_000 }
  const { signal } = new AbortController()
  const live = async (streamId: string): Promise<void> => {
    const lease = await client.acquireEngine()
    const stream = await lease.startStream({ ...playback(key, streamId), streamId })
    await stream.end()
  }
  await live('first')
  const requests = await promisesOf(async () => {
    await fake.request({ ...request, signal })
    await fake.request({ ...request, signal })
  })
  expect((await promisesOf(() => live('second'))) - requests).toBeLessThanOrEqual(85)
  expect(client.metrics().events).toMatchObject({ started: 2, ended: 2 })
  await client.close()
})

test('the end of a stream arms no timer for a playback that its host closes at once', async () => {
  const { client, clock } = connect()
  const timersOfEnd = async (close: () => unknown): Promise<number> => {
    const { session } = playback(key, 'stream')
    const stream = await client.openStream({ keyType: 'infohash', key, open: async () => ({ session, playback: 'video' }), close })
    const before = clock.armed
    await stream.end()
    return clock.armed - before
  }
  const request = 1
  expect(await timersOfEnd(() => {})).toBe(request)
  expect(await timersOfEnd(async () => {})).toBe(request + 1)
  await client.close()
})
