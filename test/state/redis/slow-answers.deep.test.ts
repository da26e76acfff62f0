import { describe, expect, it } from 'vitest'
import { clock, elapsedUntilSettled, Fleet, slot } from '../../support/redis-fleet.ts'
import { isRedisMissing } from '../../support/redis-server.ts'

const TIMEOUT_MS = 1_000
/** More engines than one call names, which is 64. */
const ENGINES = Array.from({ length: 100 }, (_, place) => `engine ${place}`)

const pass = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    clock.setTimeout(resolve, ms)
  })

describe.skipIf(isRedisMissing).each(['ioredis', 'node-redis'])('a Redis that answers slowly (%s)', (library) => {
  it('lets a take() with 100 candidates wait at most timeoutMs, even if other calls are made meanwhile', async () => {
    await using fleet = await Fleet.start()
    const delays: number[] = []
    const store = await fleet.store({
      library,
      timeoutMs: TIMEOUT_MS,
      deliver: async (send) => {
        const delayMs = delays.shift() ?? 0
        if (delayMs > 0) await pass(delayMs)
        return send()
      },
    })
    for (const engine of ENGINES.slice(0, 64)) await store.take(slot(`lease on ${engine}`, [engine]))
    delays.push(0.9 * TIMEOUT_MS, 5 * TIMEOUT_MS)
    const taking = store.take(slot('lease', ENGINES))
    const settled = taking.catch(() => {})
    await clock.settle()
    void store.occupy('another engine', 'stream')
    expect(await elapsedUntilSettled(settled)).toBe(TIMEOUT_MS)
    await expect(taking).rejects.toMatchObject({ reason: 'unavailable' })
    await elapsedUntilSettled(store.close())
  })
})
