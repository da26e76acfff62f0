import { expect, it } from 'vitest'
import { EnginesHost } from '../support/engines-host.ts'
import { laterStore } from '../support/later-store.ts'
import { setup } from '../support/setup.ts'

const CONTENT = { keyType: 'infohash', key: 'a'.repeat(40) } as const

it.each([[[0]], [[0, 10_000]]])(
  'a caller that does not wait gets the free engine of a newer list, with callers that wait %j ms',
  async (waits) => {
    const { client, clock, fake } = setup({ engines: 2, maxReplicas: 2, latencyMs: 20 }, { store: laterStore(5), cacheTtlMs: 1_000 })
    const host = new EnginesHost(clock)
    const [first = '', second = ''] = fake.engines.map(({ containerId }) => containerId)
    const advance = async (ms: number): Promise<void> => {
      await clock.advance(ms)
      for (let turns = 0; turns < 8; turns += 1) await clock.settle()
    }
    const elsewhere = fake.startElsewhere({ containerId: second })
    // Both engines play. A caller that accepts only the first one waits, so that a later caller waits behind it.
    const playing = client.openStream({ keyType: 'infohash', key: 'b', open: host.open, exclude: [second] })
    for (let turns = 0; turns < 10; turns += 1) await advance(20)
    await playing
    const waiting = client.acquireEngine({ exclude: [second], waitMs: 60_000, provision: false }).catch(() => {})
    for (let turns = 0; turns < 10; turns += 1) await advance(20)
    // The list is old, and the second engine is free by now.
    fake.endElsewhere(elsewhere)
    fake.inject({ kind: 'delay', delayMs: 1_500, route: 'GET /engines' })
    await advance(1_010)
    const settled = waits.map((waitMs) =>
      client.joinStream({ ...CONTENT, open: host.open, close: host.close, waitMs, provision: false }).then(
        () => 'served',
        (error: Error) => error.message,
      ),
    )
    for (let turns = 0; turns < 200; turns += 1) await advance(20)
    expect(await Promise.all(settled)).toEqual(waits.map(() => 'served'))
    expect(first).not.toBe('')
    const closed = client.close({ timeoutMs: 0 })
    await advance(100)
    await Promise.all([closed, waiting])
  },
)
