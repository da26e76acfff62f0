import { expect, it } from 'vitest'
import { EnginesHost } from '../support/engines-host.ts'
import { laterStore } from '../support/later-store.ts'
import { setup } from '../support/setup.ts'

const CONTENT = { keyType: 'infohash', key: 'a'.repeat(40) } as const

it('a caller that waits is not rejected because the first caller of its opening does not wait and the store answers later', async () => {
  const rejectedEarly: number[] = []
  for (let turns = 0; turns < 16; turns += 1) {
    const { client, clock } = setup({ engines: 1, maxReplicas: 1 }, { store: laterStore(3) })
    const host = new EnginesHost(clock)
    const rest = async (): Promise<void> => {
      for (let count = 0; count < 20; count += 1) await clock.settle()
    }
    const join = (waitMs: number) => client.joinStream({ ...CONTENT, open: host.open, close: host.close, waitMs, provision: false })
    void client.openStream({ keyType: 'infohash', key: 'other', open: host.open })
    await rest()
    client.acquireEngine({ waitMs: 60_000, provision: false }).catch(() => {})
    await rest()
    join(0).catch(() => {})
    for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate)
    join(5_000).catch(() => rejectedEarly.push(turns))
    await rest()
    await clock.advance(100)
    await rest()
    const early = [...rejectedEarly]
    const closed = client.close({ timeoutMs: 0 })
    await clock.advance(1)
    await closed
    rejectedEarly.splice(0, rejectedEarly.length, ...early)
  }
  expect(rejectedEarly).toEqual([])
})
