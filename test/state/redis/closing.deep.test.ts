import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { startProcess } from '../../examples/processes.ts'
import { entryOf } from '../../support/fleet-member.ts'
import { Fleet } from '../../support/redis-fleet.ts'
import { isRedisMissing } from '../../support/redis-server.ts'

const COUNT = 700
const STREAMS = Array.from({ length: COUNT }, (_, place) => `stream ${place}`)

describe.skipIf(isRedisMissing)('a store that was closed', () => {
  it('claims and unclaims ends in its own memory, and its process exits', async () => {
    await using fleet = await Fleet.start()
    const { child } = startProcess(new URL('closed-store.ts', import.meta.url), [fleet.server.url])
    expect(JSON.parse(await text(child.stdout as NodeJS.ReadableStream))).toEqual([true, false, true])
  })
})

describe.skipIf(isRedisMissing).each(['ioredis', 'node-redis'])('a store that is closed (%s)', (library) => {
  it('has left the fleet when a second close() resolves', async () => {
    await using fleet = await Fleet.start()
    const store = await fleet.store({ library })
    await store.occupy('engine', 'stream')
    void store.close()
    await store.close()
    expect(await fleet.slots()).toEqual({})
    expect(await fleet.memberCount()).toBe(0)
  })

  it.each([0, 1, 2, 3, 4])(
    '[I2] leaves the fleet, and all entries to the next proxy, if it is closed %i answers after the start of a recovery',
    async (answersBefore) => {
      await using fleet = await Fleet.start()
      const dying = await fleet.store({ library })
      await Promise.all(STREAMS.map((streamId) => dying.append(entryOf(streamId, 'life'))))
      await dying.close()
      expect(await fleet.journal()).toHaveLength(COUNT)

      let answerCount = 0
      const successor = await fleet.store({
        library,
        deliver: async (send) => {
          const answer = await send()
          answerCount += 1
          return answer
        },
      })
      await successor.renew()
      const answersAtStart = answerCount
      let isDone = false
      const recovering = successor.recover().then(() => {
        isDone = true
      })
      while (!isDone && answerCount - answersAtStart < answersBefore) await sleep(1) // for the sockets
      await successor.close()
      await recovering

      const next = await fleet.store({ library })
      const found = new Set((await next.recover()).map(({ streamId }) => streamId))
      expect([...found].sort()).toEqual([...STREAMS].sort())
      for (const streamId of STREAMS) void next.settle(streamId)
      await next.close()
      expect(await fleet.journal()).toEqual([])
      expect(await fleet.memberCount()).toBe(0)
    },
  )

  it('[I2] keeps no slot of a stream that is announced during close(), and the next proxy recovers every entry that is left', async () => {
    await using fleet = await Fleet.start()
    let atAnswer = (): void => {}
    const store = await fleet.store({
      library,
      deliver: async (send) => {
        atAnswer()
        return send()
      },
    })
    await store.occupy('engine', 'stream')
    let place = 0
    // Runs with each batch that is sent.
    atAnswer = () => {
      place += 1
      void store.occupy('engine', `late ${place}`)
      void store.append(entryOf(`late ${place}`, 'life'))
      if (place > 10) atAnswer = () => {}
    }
    await store.close()
    const successor = await fleet.store({ library })
    const found = (await successor.recover()).map(({ streamId }) => streamId)
    expect(found.sort()).toEqual(await fleet.journal())
    expect(await fleet.slots()).toEqual({})
  })
})
