import { RedisStore } from 'acestream-orchestrator-client/redis'
import { ManualClock } from 'acestream-orchestrator-client/testing'
import { expect, it, onTestFinished } from 'vitest'

it.each([null, 7, 'nonsense', {}, [], ['x', 'y']])(
  'an answer that the script never gives counts as an outage of Redis, and causes no unhandled rejection: %j',
  async (answer) => {
    const unhandled: unknown[] = []
    const note = (reason: unknown): void => void unhandled.push(reason)
    const before = process.listeners('unhandledRejection')
    process.removeAllListeners('unhandledRejection')
    process.on('unhandledRejection', note)
    onTestFinished(() => {
      process.removeAllListeners('unhandledRejection')
      for (const listener of before) process.on('unhandledRejection', listener)
    })
    const clock = new ManualClock()
    const client = { evalSha: () => Promise.resolve(answer), eval: () => Promise.resolve(answer), duplicate: () => client }
    const store = new RedisStore({ client, clock })
    const candidates = [{ containerId: 'e', reportedStreamIds: [] }]
    const calls = [
      store.occupy('e', 's'),
      store.claimEnd('s', { now: 0, retentionMs: 60_000, max: 10 }),
      store.take({ leaseId: 'l', candidates, limit: 1, now: 0, expiresAt: 60_000 }),
    ]
    const settled = Promise.allSettled(calls)
    await clock.advance(20_000)
    expect(await settled).toEqual([
      { status: 'fulfilled', value: undefined },
      { status: 'fulfilled', value: true },
      { status: 'rejected', reason: expect.objectContaining({ name: 'StoreError', reason: 'unavailable' }) },
    ])
    await clock.settle()
    expect(unhandled).toEqual([])
  },
)
