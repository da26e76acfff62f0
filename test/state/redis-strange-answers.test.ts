import { RedisStore } from 'acestream-orchestrator-client/redis'
import { ManualClock } from 'acestream-orchestrator-client/testing'
import { expect, it, onTestFinished } from 'vitest'

it('a call of the Redis store settles, and no rejection is unhandled, if Redis gives an answer that the script never gives', async () => {
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
  const client = { evalSha: () => Promise.resolve(null), eval: () => Promise.resolve(null), duplicate: () => client }
  const store = new RedisStore({ client, clock })
  let isSettled = false
  store.occupy('e', 's').then(
    () => {
      isSettled = true
    },
    () => {
      isSettled = true
    },
  )
  await clock.advance(5_000)
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect({ isSettled, unhandled }).toEqual({ isSettled: true, unhandled: [] })
})
