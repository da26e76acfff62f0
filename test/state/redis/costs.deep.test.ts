import { type EngineLease, OrchestratorClient } from 'acestream-orchestrator-client'
import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { clock, eventually, Fleet, outlasting } from '../../support/redis-fleet.ts'
import { isRedisMissing } from '../../support/redis-server.ts'

const session = { playbackSessionId: 'session', statUrl: 'http://engine/stat', commandUrl: 'http://engine/cmd' }
const LIMIT = 2

/** Clients of one fleet on one orchestrator. Nothing happens in the background. */
async function clients(fleet: Fleet, count: number, engines: number): Promise<OrchestratorClient[]> {
  const fake = new FakeOrchestrator({ engines, clock })
  const quiet = { healthIntervalMs: 0, sweepIntervalMs: 0, reconcileIntervalMs: 0, watch: false, cacheTtlMs: 3_600_000 }
  const found: OrchestratorClient[] = []
  for (let index = 0; index < count; index += 1) {
    const store = await fleet.store({ name: 'costs', slotTtlMs: 6_000_000 })
    const options = { baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, transport: fake, clock, maxStreamsPerEngine: LIMIT }
    const client = new OrchestratorClient({ ...options, ...quiet, store })
    await client.listEngines()
    found.push(client)
  }
  return found
}

const close = (opened: readonly OrchestratorClient[]): Promise<unknown> =>
  outlasting(Promise.all(opened.map((client) => client.close({ timeoutMs: 0 }))))

/** What the server did during `work`: scripts, commands that they called, and bytes that it received. */
async function workOf(fleet: Fleet, work: () => Promise<unknown>): Promise<{ scripts: number; commands: number; bytes: number }> {
  const read = async () => {
    const info = await fleet.inspector.info('all')
    const calls = [...info.matchAll(/cmdstat_(\S+?):calls=(\d+)/g)].filter(([, name]) => name !== 'info')
    return {
      scripts: Number(/cmdstat_evalsha:calls=(\d+)/.exec(info)?.[1] ?? 0),
      commands: calls.reduce((sum, [, , count]) => sum + Number(count), 0),
      bytes: Number(/total_net_input_bytes:(\d+)/.exec(info)?.[1]),
    }
  }
  await read()
  const before = await read()
  await work()
  const after = await read()
  const asking = '*2\r\n$4\r\ninfo\r\n$3\r\nall\r\n'.length
  return {
    scripts: after.scripts - before.scripts,
    commands: after.commands - before.commands,
    bytes: after.bytes - before.bytes - asking,
  }
}

async function play(fleet: Fleet, client: OrchestratorClient, id: string): Promise<void> {
  const lease = await client.acquireEngine({ provision: false })
  const stream = await lease.startStream({ keyType: 'infohash', key: id, session, streamId: id })
  await stream.end()
  // The journal entry is removed without a wait.
  await eventually(async () => (await fleet.journal('costs')).length === 0, 0)
}

describe.skipIf(isRedisMissing)('the costs of a fleet', () => {
  it('a stream costs four round trips: one for its lease, one for its start, two for its end', async () => {
    await using fleet = await Fleet.start()
    const [client] = (await clients(fleet, 1, 3)) as [OrchestratorClient]
    await play(fleet, client, 'first')
    expect((await workOf(fleet, () => play(fleet, client, 'counted'))).scripts).toBe(4)
    expect(await fleet.slots('costs')).toEqual({})
    await close([client])
  })

  it('a slot that becomes free costs two scripts, however many proxies wait, and they are served in the order of their calls', async () => {
    await using fleet = await Fleet.start()
    const [holder, ...others] = (await clients(fleet, 13, 3)) as [OrchestratorClient, ...OrchestratorClient[]]
    const held: EngineLease[] = []
    for (let index = 0; index < 3 * LIMIT; index += 1) held.push(await holder.acquireEngine({ provision: false }))
    const served: number[] = []
    const line = fleet.inspector
    for (const [place, client] of others.entries()) {
      const waiting = client.acquireEngine({ provision: false, waitMs: 3_000_000 })
      waiting.then(
        () => served.push(place),
        () => {},
      )
      await eventually(async () => (await line.zcard('{acestream:costs}:line')) === place + 1, 1)
    }
    const scripts: number[] = []
    for (const lease of held) {
      const count = served.length + 1
      const work = await workOf(fleet, async () => {
        await lease.release()
        await eventually(() => served.length === count, 0)
      })
      scripts.push(work.scripts)
    }
    expect(served).toEqual([0, 1, 2, 3, 4, 5])
    expect(scripts).toEqual([2, 2, 2, 2, 2, 2])
    await close([holder, ...others])
  })

  it('acquiring an engine sends as many bytes among 400 engines as among 10, also while all of them are full', async () => {
    const bytesOf = async (engines: number): Promise<{ room: number; full: number }> => {
      await using fleet = await Fleet.start()
      const [client, rival] = (await clients(fleet, 2, engines)) as [OrchestratorClient, OrchestratorClient]
      const acquire = (by: OrchestratorClient) => by.acquireEngine({ provision: false, waitMs: 0 })
      await (await acquire(client)).release()
      const room = await workOf(fleet, async () => (await acquire(client)).release())
      for (let index = 0; index < engines * LIMIT; index += 1) await acquire(rival)
      await acquire(client).catch(() => {})
      const full = await workOf(fleet, () => acquire(client).catch(() => {}))
      await close([client, rival])
      return { room: room.bytes, full: full.bytes }
    }
    const [few, many] = [await bytesOf(10), await bytesOf(400)]
    expect(many.room / few.room).toBeLessThan(1.5)
    expect(many.full / few.full).toBeLessThan(1.5)
  })

  it('a caller finds a slot that another proxy has freed on an engine which was full before, without a subscription', async () => {
    await using fleet = await Fleet.start()
    const [client, rival] = (await clients(fleet, 2, 2)) as [OrchestratorClient, OrchestratorClient]
    const held: EngineLease[] = []
    for (let index = 0; index < 2 * LIMIT; index += 1) held.push(await rival.acquireEngine({ provision: false }))
    const acquire = () => client.acquireEngine({ provision: false, waitMs: 0 })
    await expect(acquire()).rejects.toMatchObject({ reason: 'full' })
    await held[1]?.release()
    expect((await acquire()).engine.containerId).toBe(held[1]?.engine.containerId)
    await expect(acquire()).rejects.toMatchObject({ reason: 'full' })
    await close([client, rival])
  })

  it('a caller finds a slot that a proxy of an earlier release has freed, after ten seconds', async () => {
    await using fleet = await Fleet.start()
    const [client, rival] = (await clients(fleet, 2, 1)) as [OrchestratorClient, OrchestratorClient]
    for (let index = 0; index < LIMIT; index += 1) await rival.acquireEngine({ provision: false })
    const acquire = () => client.acquireEngine({ provision: false, waitMs: 0 })
    await expect(acquire()).rejects.toMatchObject({ reason: 'full' })
    // It does not count the slots that it frees.
    const [[engine]] = Object.entries(await fleet.slots('costs')) as [[string, string[]]]
    await fleet.inspector.hdel('{acestream:costs}:state', `e:${engine}`)
    await clock.advance(10_000)
    expect((await acquire()).engine.containerId).toBe(engine)
    await close([client, rival])
  })

  it('a renewal runs as many commands with 2,000 streams as with 20', async () => {
    const commandsWith = async (streams: number): Promise<number> => {
      await using fleet = await Fleet.start()
      const store = await fleet.store()
      await Promise.all(Array.from({ length: streams }, (_, index) => store.occupy(`engine-${index % 100}`, `stream-${index}`)))
      await Promise.all(
        Array.from({ length: streams }, (_, index) => store.append({ streamId: `stream-${index}`, proxyId: 'proxy', isOver: false })),
      )
      await store.renew()
      return (await workOf(fleet, () => store.renew())).commands
    }
    expect(await commandsWith(2_000)).toBe(await commandsWith(20))
  })

  it('2,000 entries of a proxy that has left are read and taken over in portions of 100', async () => {
    await using fleet = await Fleet.start()
    const [leaving, next] = [await fleet.store(), await fleet.store()]
    const entries = Array.from({ length: 2_000 }, (_, index) => ({ streamId: `stream-${index}`, proxyId: 'proxy', isOver: false }))
    await Promise.all(entries.map((entry) => leaving.append(entry)))
    await leaving.close()
    const { scripts } = await workOf(fleet, async () => expect(await next.recover()).toHaveLength(2_000))
    expect(scripts).toBeGreaterThanOrEqual(40)
  })
})
