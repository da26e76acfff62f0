import { RedisStore } from 'acestream-orchestrator-client/redis'
import { createClient } from 'redis'
import { describe, expect, it } from 'vitest'
import { clock, eventually, Fleet } from '../../support/redis-fleet.ts'
import { isRedisMissing } from '../../support/redis-server.ts'

describe.skipIf(isRedisMissing)('a subscription to freed slots', () => {
  it('delivers notifications even if Redis was killed between SUBSCRIBE and its answer (node-redis)', async () => {
    await using fleet = await Fleet.start()
    const client = createClient({ url: fleet.server.url, socket: { reconnectStrategy: () => 30 } })
    client.on('error', () => {})
    await client.connect()
    const duplicate = client.duplicate.bind(client)
    let restarting: Promise<void> | undefined
    const restart = async (): Promise<void> => {
      await fleet.server.kill()
      await fleet.server.start()
    }
    client.duplicate = (...options) => {
      const listener = duplicate(...options)
      const subscribe = listener.subscribe.bind(listener)
      listener.subscribe = ((...args: Parameters<typeof subscribe>) => {
        if (restarting !== undefined) return subscribe(...args)
        fleet.server.freeze()
        const subscribing = subscribe(...args)
        restarting = restart()
        return subscribing
      }) as typeof subscribe
      return listener
    }
    const listening = new RedisStore({ client, clock, timeoutMs: 10_000 })
    let freedCount = 0
    const undo = listening.onSlotFreed(() => {
      freedCount += 1
    })
    await eventually(() => restarting !== undefined)
    await restarting
    const other = await fleet.store()
    let number = 0
    await eventually(async () => {
      number += 1
      await other.occupy('engine', `stream ${number}`)
      await other.releaseStream(`stream ${number}`)
      return freedCount > 0
    })
    expect(freedCount).toBeGreaterThan(0)
    undo()
    await listening.close()
    client.destroy()
  })
})
