import { MemoryStore, OrchestratorClient, type SlotRequest } from 'acestream-orchestrator-client'
import { FakeOrchestrator, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'

/** A store over a network. Other processes have filled some engines, which it finds out only when it is asked for them. */
class RemoteStore extends MemoryStore {
  /** The candidates of each call. */
  readonly asked: (readonly string[])[] = []
  readonly filled = new Set<string>()

  override take(request: SlotRequest): string | undefined {
    const candidates = [...request.candidates]
    this.asked.push(candidates.map(({ containerId }) => containerId))
    const free = candidates.filter(({ containerId }) => !this.filled.has(containerId))
    return Promise.resolve(super.take({ ...request, candidates: free })) as unknown as string | undefined
  }
}

function connect(engines: number) {
  const clock = new ManualClock()
  const fake = new FakeOrchestrator({ engines, clock })
  const store = new RemoteStore()
  const quiet = { healthIntervalMs: 0, sweepIntervalMs: 0, reconcileIntervalMs: 0, watch: false }
  const client = new OrchestratorClient({
    baseUrl: 'http://orchestrator.test',
    apiKey: fake.apiKey,
    transport: fake,
    clock,
    random: seededRandom(1),
    store,
    ...quiet,
  })
  return { client, store }
}

describe('a store that answers later', () => {
  it('is asked about eight engines, however many there are', async () => {
    const { client, store } = connect(200)
    await client.acquireEngine()
    expect(store.asked.map(({ length }) => length)).toEqual([8])
    expect(new Set(store.asked[0]).size).toBe(8)
  })

  it('is asked about the next 64 engines, and so on, until it finds one with room', async () => {
    const { client, store } = connect(200)
    const engines = await client.listEngines()
    const last = engines[137]?.containerId ?? ''
    for (const { containerId } of engines) if (containerId !== last) store.filled.add(containerId)
    expect((await client.acquireEngine()).engine.containerId).toBe(last)
    const all = store.asked.flat()
    expect(store.asked.slice(0, 2).map(({ length }) => length)).toEqual([8, 64])
    expect(new Set(all).size).toBe(all.length)
  })

  it('is asked once about each engine if all are full', async () => {
    const { client, store } = connect(100)
    for (const { containerId } of await client.listEngines()) store.filled.add(containerId)
    await expect(client.acquireEngine({ waitMs: 0, provision: false })).rejects.toMatchObject({ reason: 'full' })
    expect(new Set(store.asked.flat()).size).toBe(100)
    expect(store.asked.map(({ length }) => length).slice(0, 3)).toEqual([8, 64, 28])
  })

  it('gets twice as many engines in total with each further call, so that few calls suffice for thousands', async () => {
    const { client, store } = connect(2_000)
    for (const { containerId } of await client.listEngines()) store.filled.add(containerId)
    await expect(client.acquireEngine({ waitMs: 0, provision: false })).rejects.toMatchObject({ reason: 'full' })
    const firstTime = store.asked.slice(0, 6).map(({ length }) => length)
    expect(firstTime).toEqual([8, 64, 72, 144, 288, 576])
  })

  it('gets the best engines first', async () => {
    const { client, store } = connect(12)
    const engines = (await client.listEngines()).map(({ containerId }) => containerId)
    const busy = engines.slice(0, 4)
    for (const containerId of busy) store.occupy(containerId, `on ${containerId}`)
    await client.acquireEngine()
    expect(store.asked[0]?.filter((containerId) => busy.includes(containerId))).toEqual([])
  })
})
