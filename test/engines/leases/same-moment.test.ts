import { describe, expect, it } from 'vitest'
import { failureOf, playback, setup } from '../../support/setup.ts'

/** A client whose engine list is fresh, so that a caller can be served as soon as it calls. */
async function withFreshList() {
  const world = setup({ engines: 1 }, { cacheTtlMs: 60_000 })
  await world.client.listEngines()
  return world
}

describe('a caller that does not wait, while the only engine is full', () => {
  const now = { waitMs: 0, provision: false } as const

  it('gets the slot of a lease that is released right after its call', async () => {
    const { client } = await withFreshList()
    const held = await client.acquireEngine()
    const acquiring = client.acquireEngine(now)
    void held.release()
    expect((await acquiring).engine).toBe(held.engine)
  })

  it('gets the slot of a stream that is ended right after its call', async () => {
    const { client } = await withFreshList()
    const held = await client.acquireEngine()
    const stream = await held.startStream(playback())
    const acquiring = client.acquireEngine(now)
    void stream.end()
    expect((await acquiring).engine).toBe(held.engine)
  })

  it('is not reported as a waiting caller if a slot is released right after its call', async () => {
    const { client } = await withFreshList()
    const held = await client.acquireEngine()
    const reports: unknown[] = []
    client.on('capacity:waiting', (report) => reports.push(report))
    const acquiring = client.acquireEngine()
    void held.release()
    await acquiring
    expect(reports).toEqual([])
  })
})

describe('a caller of acquireEngine() that aborts right after its call', () => {
  it('gets the reason of its signal, and holds no slot, although an engine had room', async () => {
    const { client } = await withFreshList()
    const abort = new AbortController()
    const acquiring = failureOf(client.acquireEngine({ signal: abort.signal }))
    abort.abort('viewer left')
    expect(await acquiring).toBe('viewer left')
    expect(client.metrics().leases.active).toBe(0)
    await client.acquireEngine({ waitMs: 0 })
  })

  it('leaves its slot to the next caller', async () => {
    const { client } = await withFreshList()
    const abort = new AbortController()
    const left = failureOf(client.acquireEngine({ signal: abort.signal }))
    const next = client.acquireEngine({ waitMs: 0, provision: false })
    abort.abort('viewer left')
    expect(await left).toBe('viewer left')
    expect((await next).engine.containerId).not.toBe('')
  })
})

describe('callers who are served at once, with and without a signal', () => {
  it.each(['calls of one moment', 'calls a few moments apart'])('get their engines in the order of their calls (%s)', async (kind) => {
    const { client } = setup({ engines: 1 }, { cacheTtlMs: 60_000, maxStreamsPerEngine: 100 })
    await client.listEngines()
    const served: number[] = []
    const calls: Promise<unknown>[] = []
    for (let index = 0; index < 12; index += 1) {
      const options = index % 4 === 0 ? { signal: new AbortController().signal } : {}
      calls.push(client.acquireEngine(options).then(() => served.push(index)))
      if (kind === 'calls a few moments apart') await undefined
    }
    await Promise.all(calls)
    expect(served).toEqual(Array.from({ length: 12 }, (_, index) => index))
  })
})
