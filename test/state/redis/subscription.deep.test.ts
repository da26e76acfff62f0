import { RedisStore } from 'acestream-orchestrator-client/redis'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { describe, expect, it } from 'vitest'
import { clock, eventually, Fleet, slot } from '../../support/redis-fleet.ts'
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

  it('gives a proxy on a cluster its place in the line back after the connection of the subscription broke (ioredis)', async () => {
    await using fleet = await Fleet.start()
    const holder = await fleet.store({ slotTtlMs: 600_000 })
    await holder.occupy('engine', 'stream')
    // A client of a cluster renews its subscriptions itself, as this one does, and reports nothing then.
    const client = Object.assign(new Redis(fleet.server.url, { retryStrategy: () => 1 }), { isCluster: true })
    client.on('error', () => {})
    const waiting = new RedisStore({ client, clock, timeoutMs: 10_000, slotTtlMs: 600_000 })
    let freedCount = 0
    waiting.onSlotFreed(() => {
      freedCount += 1
    })
    let callerCount = 0
    const hasPlace = async (): Promise<boolean> => {
      callerCount += 1
      await waiting.take({ ...slot(`lease ${callerCount}`, ['engine']), place: { since: clock.now() - callerCount, isWaiting: true } })
      return (await fleet.inspector.zcard('{acestream:default}:line')) === 1
    }
    await eventually(hasPlace, 0)
    waiting.leaveLine()
    const isSubscribed = async (): Promise<boolean> => (await fleet.inspector.pubsub('NUMSUB', '{acestream:default}:state:freed'))[1] === 1
    await fleet.inspector.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await eventually(isSubscribed, 0)
    await eventually(async () => {
      await holder.releaseStream('stream')
      await holder.occupy('engine', 'stream')
      return freedCount > 0
    }, 0)
    await eventually(hasPlace, 0)
    expect(freedCount).toBeGreaterThan(0)
    await waiting.close()
    client.disconnect()
  })
})
