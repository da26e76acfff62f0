import { RedisStore } from 'acestream-orchestrator-client/redis'
import { describeStateStore, ManualClock } from 'acestream-orchestrator-client/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { untilSlotsAreGranted } from '../../support/first-redis-slot.ts'
import { CLIENTS, type TestClient } from '../../support/redis-clients.ts'
import { isRedisMissing, RedisServer, SERVERS } from '../../support/redis-server.ts'

const declare = (name: string, run: () => Promise<void>) => it(name, () => expect(run()).resolves.toBeUndefined())
/** The tests of the contract pass times of this day, and the store must use them. */
const BEGIN = Date.UTC(2026, 0, 1)
const SLOT_TTL_MS = 3_000
const TIMEOUT_MS = 1_000
const TRY_EVERY_MS = 1_000

describe.skipIf(isRedisMissing)('the contract of state stores', () => {
  it('is tested with at least one server of this machine', () => expect(SERVERS).not.toEqual([]))
})

for (const binary of SERVERS) {
  for (const { library, open } of CLIENTS) {
    describe(`${library} on ${binary}`, () => {
      let server: RedisServer
      let connection: TestClient
      let count = 0
      beforeAll(async () => {
        server = await RedisServer.start({ binary })
        connection = await open(server.url)
      })
      afterAll(async () => {
        await connection.close()
        await server.stop()
      })

      describeStateStore(
        async () => {
          count += 1
          const name = `rule ${count}`
          await untilSlotsAreGranted(connection.client, name)
          const clock = new ManualClock(BEGIN)
          const make = () => new RedisStore({ client: connection.client, name, clock, timeoutMs: TIMEOUT_MS, slotTtlMs: SLOT_TTL_MS })
          let last = make()
          const peers: RedisStore[] = []
          /** Lets two times to live pass, in which only these stores report. */
          const elapse = async (...living: readonly RedisStore[]): Promise<void> => {
            for (let third = 0; third < 6; third += 1) {
              for (const store of living) await store.renew()
              await clock.advance(SLOT_TTL_MS / 3)
            }
            for (const store of living) await store.renew()
          }
          return {
            store: last,
            peer: () => {
              const peer = make()
              peers.push(peer)
              return peer
            },
            crash: async () => {
              last = make()
              // The store that crashed sends no reports.
              await elapse(last, ...peers)
              return last
            },
            outage: async () => {
              const living = [last, ...peers]
              server.freeze()
              const calls = living.map((store) => store.renew())
              await clock.advance(2 * SLOT_TTL_MS)
              await Promise.all(calls)
              server.thaw()
              await clock.advance(TRY_EVERY_MS)
              await elapse(...living)
            },
            close: () => Promise.all([last, ...peers].map((store) => store.close())).then(() => {}),
          }
        },
        { name: 'the Redis store', describe, it: declare, shared: true, durable: true, outage: true },
      )

      // As in production: with the system's clock and the server's. Long time-outs, so that a slow machine causes no outage.
      describeStateStore(
        async () => {
          count += 1
          const name = `rule ${count}`
          await untilSlotsAreGranted(connection.client, name)
          const stores: RedisStore[] = []
          const make = () => {
            const store = new RedisStore({ client: connection.client, name, timeoutMs: 600_000, slotTtlMs: 600_000 })
            stores.push(store)
            return store
          }
          return { store: make(), peer: make, close: () => Promise.all(stores.map((store) => store.close())).then(() => {}) }
        },
        { name: 'the Redis store on the server’s clock', describe, it: declare, shared: true },
      )
    })
  }
}
