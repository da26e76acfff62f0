import {
  type Candidate,
  type EngineLease,
  MemoryStore,
  type OrchestratorClientOptions,
  type SlotRequest,
} from 'acestream-orchestrator-client'
import { type FakeOrchestratorOptions, GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { PushTransport } from '../../support/push-transport.ts'
import { connect, playback, setup } from '../../support/setup.ts'

const KEY = 'a'.repeat(40)
const CONTENT = { keyType: 'infohash', key: KEY } as const
const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })

/**
 * Engine `a`, and engine `b` with two streams of other contents. A caller without `content` gets engine `a`, unless it has more than two
 * streams.
 */
function emptyAndUsed(fakeOptions: FakeOrchestratorOptions = {}, options: Partial<OrchestratorClientOptions> = {}) {
  const world = setup({ engines: 2, ...fakeOptions }, { maxStreamsPerEngine: 5, ...options })
  const { client, fake } = world
  const [a = '', b = ''] = fake.engines.map(({ containerId }) => containerId)
  for (let i = 0; i < 2; i += 1) fake.startElsewhere({ containerId: b })
  /** The engine that a viewer of this content gets. */
  const engineFor = async (content?: typeof CONTENT | { keyType: 'content_id' | 'url'; key: string }): Promise<string> => {
    const lease = await client.acquireEngine({ content, waitMs: 0 })
    await lease.release()
    return lease.engine.containerId
  }
  const leaseOn = (id: string): Promise<EngineLease> => client.acquireEngine({ exclude: [id === a ? b : a], waitMs: 0 })
  const playOn = async (id: string, key = KEY) => (await leaseOn(id)).startStream(playback(key))
  return { ...world, a, b, engineFor, leaseOn, playOn }
}

describe.each(GENERATIONS)('a viewer who names the content, on %s', (generation) => {
  it('gets an engine on which this client does not play it, though that engine has more streams', async () => {
    const { client, a, b, engineFor, playOn } = emptyAndUsed({ generation })
    const stream = await playOn(a)
    expect([await engineFor(), await engineFor(CONTENT)]).toEqual([a, b])
    await client.listEngines({ fresh: true })
    expect(await engineFor({ keyType: 'infohash', key: KEY.toUpperCase() })).toBe(b)
    expect(await engineFor({ keyType: 'content_id', key: KEY })).toBe(a)
    await stream.end()
    expect(await engineFor(CONTENT)).toBe(a)
  })

  it('gets an engine on which no other proxy plays it, as far as the engine list shows that', async () => {
    const { fake, a, b, engineFor } = emptyAndUsed({ generation })
    fake.startElsewhere({ containerId: a, key: KEY, streamId: `${KEY.toUpperCase()}|session-9` })
    expect([await engineFor(), await engineFor(CONTENT)]).toEqual([a, b])
  })

  it('may get an engine with a stream of another proxy that only has a similar id or key', async () => {
    const { fake, a, engineFor } = emptyAndUsed({ generation })
    const url = { keyType: 'url', key: 'http://a' } as const
    fake.startElsewhere({ containerId: a, key: 'http://a/b', streamId: 'http://a/b|session-9' })
    expect(await engineFor(url)).toBe(a)
  })

  it('may get an engine with a stream of another proxy whose id begins with the key, where the list shows another content', async () => {
    const { fake, a, b, engineFor } = emptyAndUsed({ generation })
    fake.startElsewhere({ containerId: a, key: 'other', streamId: `${KEY}|session-9` })
    expect(await engineFor(CONTENT)).toBe(generation === 'v1' ? a : b)
  })

  it('gets such an engine also if the other proxy chose the id of its stream, where the list shows the key', async () => {
    const { fake, a, b, engineFor } = emptyAndUsed({ generation })
    fake.startElsewhere({ containerId: a, key: KEY, streamId: 'chosen' })
    expect(await engineFor(CONTENT)).toBe(generation === 'v1' ? b : a)
    expect(await engineFor({ keyType: 'content_id', key: KEY })).toBe(a)
  })

  it('gets the engine of a stream of another proxy that this client has ended, though a cached list still shows the stream', async () => {
    const { client, fake, a, b, engineFor } = emptyAndUsed({ generation }, { cacheTtlMs: 600_000 })
    const streamId = fake.startElsewhere({ containerId: a, key: KEY, streamId: `${KEY}|session-9` })
    expect(await engineFor(CONTENT)).toBe(b)
    await client.streamEnded(streamId)
    expect(await engineFor(CONTENT)).toBe(a)
  })

  it('gets an engine with the content at once if no other has room, and no engine is requested', async () => {
    const { client, fake, a, playOn } = emptyAndUsed({ generation }, { maxStreamsPerEngine: 2 })
    await playOn(a)
    const lease = await client.acquireEngine({ content: CONTENT })
    expect(lease.engine.containerId).toBe(a)
    expect(fake.engines).toHaveLength(2)
  })

  it('gets a healthy engine with the content before an unhealthy engine without it', async () => {
    const { client, fake, a, b, playOn } = emptyAndUsed({ generation })
    await playOn(a)
    fake.updateEngine(b, { healthStatus: 'unhealthy' })
    await client.listEngines({ fresh: true })
    const lease = await client.acquireEngine({ content: CONTENT, waitMs: 0, provision: false })
    expect(lease.engine.containerId).toBe(a)
  })

  it('gets an engine without it also after a wait, when several have room again at the same time', async () => {
    const { client, fake, clock, a, b, playOn } = emptyAndUsed({ generation }, { maxStreamsPerEngine: 3 })
    await playOn(a)
    const ending = [a, a, b].map((containerId) => fake.startElsewhere({ containerId }))
    await client.listEngines({ fresh: true })
    const waiting = client.acquireEngine({ content: CONTENT, provision: false })
    await clock.settle()
    for (const streamId of ending) fake.endElsewhere(streamId)
    await client.listEngines({ fresh: true })
    expect((await waiting).engine.containerId).toBe(b)
  })
})

describe('a viewer who names the content', () => {
  it('gets an engine on which no other proxy plays it, by a list that v1 pushed', async () => {
    const { clock, fake, a, b } = emptyAndUsed({ generation: 'v1' })
    const client = connect(fake, clock, { transport: new PushTransport(fake, clock), maxStreamsPerEngine: 5 })
    await (await client.acquireEngine()).release()
    await clock.advance(1_500)
    const { total } = fake.counters.requests
    fake.startElsewhere({ containerId: a, key: KEY, streamId: 'chosen' })
    await clock.advance(1_500)
    expect((await client.acquireEngine({ content: CONTENT })).engine.containerId).toBe(b)
    expect(fake.counters.requests.total).toBe(total)
  })

  it('gets an engine without it when chance decides, because other proxies fill the emptiest engines', async () => {
    const { client, clock, fake, a, b, leaseOn, playOn } = emptyAndUsed({}, { maxStreamsPerEngine: 50, cacheTtlMs: 2_000 })
    await playOn(a)
    await client.listEngines()
    await clock.advance(2_000)
    for (let i = 0; i < 8; i += 1) fake.startElsewhere({ containerId: i % 2 === 0 ? a : b })
    await client.listEngines()
    const chosen = async (content?: typeof CONTENT): Promise<Set<string>> => {
      const engines = new Set<string>()
      for (let i = 0; i < 12; i += 1) {
        const lease = await client.acquireEngine({ content })
        engines.add(lease.engine.containerId)
        await lease.release()
      }
      return engines
    }
    expect(await chosen()).toEqual(new Set([a, b]))
    expect(await chosen(CONTENT)).toEqual(new Set([b]))
    await (await leaseOn(b)).startStream(playback(KEY, 'session-2'))
    expect(await chosen(CONTENT)).toEqual(new Set([a, b]))
  })

  it('gets an engine with the content if another proxy takes the last slot of the others meanwhile', async () => {
    let taken = ''
    class Raced extends MemoryStore {
      override take(request: SlotRequest) {
        return super.take({ ...request, candidates: [...request.candidates].filter(({ containerId }) => containerId !== taken) })
      }
    }
    const { client, a, b, playOn } = emptyAndUsed({}, { store: new Raced() })
    await playOn(a)
    taken = b
    expect((await client.acquireEngine({ content: CONTENT, waitMs: 0 })).engine.containerId).toBe(a)
  })

  it('gets the engine that the rankEngines of the host puts first, which sees where the content is', async () => {
    const seen = new Map<string, boolean>()
    const rankEngines = (x: Candidate, y: Candidate): number => {
      for (const { engine, hasContent } of [x, y]) seen.set(engine.containerId, hasContent)
      return x.load - y.load
    }
    const { a, b, engineFor, playOn } = emptyAndUsed({}, { rankEngines })
    await playOn(a)
    expect(await engineFor(CONTENT)).toBe(a)
    expect([seen.get(a), seen.get(b)]).toEqual([true, false])
    expect(await engineFor()).toBe(a)
    expect([seen.get(a), seen.get(b)]).toEqual([false, false])
  })
})

describe('an engine on which the content failed', () => {
  it.each([
    ['could not be reached', refused],
    ['answered with an error', new Error('500')],
  ])('is not the first choice for ten minutes after it %s', async (_, cause) => {
    const { clock, a, b, engineFor, leaseOn } = emptyAndUsed()
    await (await leaseOn(a)).fail(cause, { key: KEY.toUpperCase() })
    expect([await engineFor(CONTENT), await engineFor()]).toEqual([b, a])
    expect(await engineFor({ keyType: 'content_id', key: 'c'.repeat(40) })).toBe(a)
    await clock.advance(600_001)
    expect(await engineFor(CONTENT)).toBe(a)
  })

  it('is the first choice again after the content has played there, and not after another content has', async () => {
    const { a, b, engineFor, leaseOn, playOn } = emptyAndUsed()
    await (await leaseOn(a)).fail(new Error('500'), { key: KEY })
    await (await playOn(a, 'b'.repeat(40))).end()
    expect(await engineFor(CONTENT)).toBe(b)
    await (await playOn(a)).end()
    expect(await engineFor(CONTENT)).toBe(a)
  })

  it('is not the first choice also if it failed while it was ejected', async () => {
    const { clock, a, b, engineFor, leaseOn } = emptyAndUsed()
    const leases = [await leaseOn(a), await leaseOn(a), await leaseOn(a), await leaseOn(a)]
    for (const lease of leases.slice(0, 3)) await lease.fail(refused)
    await leases[3]?.fail(refused, { key: KEY })
    await clock.advance(30_001)
    expect([await engineFor(), await engineFor(CONTENT)]).toEqual([a, b])
  })
})
