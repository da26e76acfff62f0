import { describe, expect, it } from 'vitest'
import { HeldLease } from '../../../src/engines/leases/engine-lease.ts'
import { leaseRegistryOf } from '../../support/inner-parts.ts'
import { failureOf, playback, setup } from '../../support/setup.ts'

const RESET = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })

/** Two engines. `acquire` takes a slot on the first of them, unless it is ejected. */
async function world() {
  const { client, fake } = setup({ engines: 2 }, { maxStreamsPerEngine: 9 })
  const [bad = '', good = ''] = fake.engines.map(({ containerId }) => containerId)
  const acquire = async (): Promise<HeldLease> => {
    const lease = await client.acquireEngine({ exclude: [good], waitMs: 0 })
    if (!(lease instanceof HeldLease)) throw new Error('expected a slot on a listed engine')
    return lease
  }
  const ejections: unknown[] = []
  client.on('engine:ejected', ({ containerId, cause }) => ejections.push([containerId, cause]))
  return { client, bad, acquire, ejections, registry: await leaseRegistryOf(await acquire()) }
}

describe('an engine that is blamed for a failure', () => {
  it('is ejected after three leases failed, and each lease keeps its slot', async () => {
    const { client, bad, acquire, ejections, registry } = await world()
    const leases = [await acquire(), await acquire(), await acquire()]
    const { active } = client.metrics().leases
    for (const lease of leases) registry.blame(lease, RESET, undefined)
    expect(ejections).toEqual([[bad, RESET]])
    expect(client.metrics().leases.active).toBe(active)
    expect(await failureOf(acquire())).toMatchObject({ code: 'CAPACITY' })
  })

  it('counts one failure for a lease that is blamed twice and then fails', async () => {
    const { bad, acquire, ejections, registry } = await world()
    const lease = await acquire()
    for (let i = 0; i < 2; i += 1) registry.blame(lease, RESET, undefined)
    await lease.fail(RESET)
    registry.blame(await acquire(), RESET, undefined)
    expect(ejections).toEqual([])
    expect((await acquire()).engine.containerId).toBe(bad)
  })

  it('counts the failure of a lease that has become a stream, and the stream lives on', async () => {
    const { client, bad, acquire, ejections, registry } = await world()
    const leases = [await acquire(), await acquire(), await acquire()]
    for (const [index, lease] of leases.entries()) await lease.startStream(playback(`${index}`.repeat(40), `session-${index}`))
    for (const lease of leases) registry.blame(lease, RESET, undefined)
    expect(ejections).toEqual([[bad, RESET]])
    expect(client.metrics().streams.live).toBe(3)
  })

  it('counts three failures of one content as one, as a dead content ejects no engine', async () => {
    const { acquire, ejections, registry } = await world()
    for (let i = 0; i < 5; i += 1) registry.blame(await acquire(), new Error('no data'), 'a'.repeat(40))
    expect(ejections).toEqual([])
    for (const digit of ['b', 'c']) registry.blame(await acquire(), new Error('no data'), digit.repeat(40))
    expect(ejections).toHaveLength(1)
  })

  it('counts a failed connection each time, whatever the content', async () => {
    const { acquire, ejections, registry } = await world()
    const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
    for (let i = 0; i < 3; i += 1) registry.blame(await acquire(), refused, 'a'.repeat(40))
    expect(ejections).toHaveLength(1)
  })
})

describe('a listener of engine:ejected', () => {
  it('finds the slot of the lease that failed free', async () => {
    const { client } = setup({ engines: 1 })
    const active: number[] = []
    client.on('engine:ejected', () => active.push(client.metrics().leases.active))
    for (let i = 0; i < 3; i += 1) await (await client.acquireEngine({ waitMs: 0 })).fail(RESET)
    expect(active).toEqual([0])
  })
})
