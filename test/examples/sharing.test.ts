import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Viewer } from '../../examples/demo/viewer.ts'
import { MAX_BACKLOG_BYTES } from '../../examples/proxy/broadcast.ts'
import { HELD_MS, holdTimers } from '../support/held-timers.ts'
import { eventually, expectFurtherBytes, infohash, playing, stage, view } from './stage.ts'

const VIEWERS = 20

describe('viewers of one content', () => {
  it.each(GENERATIONS)('share one session and one stream on %s: one start, and one end after the last one has left', async (generation) => {
    const { fake, engines, client, url } = await stage({ fake: { generation } })
    const viewers = await viewAll(url)
    const [last, ...others] = viewers
    if (last === undefined) throw new Error('no viewers')
    expect(viewers.map(({ state }) => state)).toEqual(Array(VIEWERS).fill('watching'))
    expect(engines[0]).toMatchObject({ opened: 1, peak: 1 })
    const status = await (await fetch(`${url}/ace/status`)).json()
    expect(status).toMatchObject({ viewers: VIEWERS, streams: { live: 1, shared: 1, viewers: VIEWERS } })
    await Promise.all(others.map((viewer) => viewer.leave()))
    expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 0 })
    await expectFurtherBytes(last)
    await last.leave()
    await eventually(() => expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1, innocentsEnded: 0 }))
    expect(engines[0]).toMatchObject({ opened: 1, stopCommands: 1, sessions: new Set() })
    expect(client.metrics().events.duplicatesPrevented).toBe(0)
  })

  it('are told apart by their content, so that two contents have two sessions', async () => {
    const { engines, url } = await stage({ client: { maxStreamsPerEngine: 2 } })
    await Promise.all([view(url, 1), view(url, 1), view(url, 2), view(url, 2)])
    expect(engines[0]?.sessions.size).toBe(2)
  })

  it('need one slot, so that an engine with one slot serves all of them, and refuses a viewer of another content', async () => {
    const { url } = await stage()
    const viewers = await Promise.all([view(url, 1), view(url, 1), view(url, 1)])
    expect(viewers.map(({ state }) => state)).toEqual(['watching', 'watching', 'watching'])
    expect((await view(url, 2)).state).toBe('refused')
    expect((await view(url, 1)).state).toBe('watching')
  })

  it('are not slowed down by a viewer who stops reading, and who gets further bytes when it reads again', async () => {
    const { engines, proxy, url } = await stage()
    const reader = await view(url)
    const stopped = await responseOf(url)
    // More than the sockets and the backlog of the stopped viewer can hold.
    const { bytes } = reader
    for (let parts = 0; parts < 6; parts++) engines[0]?.send(Buffer.alloc(MAX_BACKLOG_BYTES, 0x47))
    await eventually(() => expect(reader.bytes - bytes).toBeGreaterThan(6 * MAX_BACKLOG_BYTES))
    expect(proxy.viewers).toBe(2)
    let bytesRead = 0
    stopped.on('data', (chunk: Buffer) => {
      bytesRead += chunk.length
    })
    await eventually(() => expect(bytesRead).toBeGreaterThan(MAX_BACKLOG_BYTES))
    await expectFurtherBytes(reader)
    expect(engines[0]?.opened).toBe(1)
  })

  it('are dropped if they read nothing for the time limit, with one line in the log, and the others go on', async () => {
    const checks = holdTimers()
    const warnings: unknown[] = []
    const log = { debug: () => {}, info: () => {}, warn: (message: string) => warnings.push(message), error: () => {} }
    const { client, engines, proxy, url } = await stage({ proxy: { slowViewerTimeoutMs: 4 * HELD_MS, log } })
    const reader = await view(url)
    const stopped = await responseOf(url)
    const closed = new Promise((resolve) => stopped.once('close', resolve))
    // More than the sockets of the stopped viewer can hold.
    for (let parts = 0; parts < 3; parts++) engines[0]?.send(Buffer.alloc(MAX_BACKLOG_BYTES, 0x47))
    await eventually(() => expect(reader.bytes).toBeGreaterThan(3 * MAX_BACKLOG_BYTES))
    await eventually(() => {
      checks.fire()
      expect(proxy.figures.tooSlow).toBe(1)
    })
    stopped.resume() // reads what has arrived
    await closed
    await eventually(() => expect([proxy.viewers, client.metrics().streams.viewers]).toEqual([1, 1]))
    await expectFurtherBytes(reader)
    expect(warnings).toEqual(['A viewer was dropped: it reads too slowly'])
  })

  it('gives its slot back if it is the only one, and reads nothing', async () => {
    const checks = holdTimers()
    const { engines, fake, proxy, url } = await stage({ proxy: { slowViewerTimeoutMs: 4 * HELD_MS } })
    const stopped = await responseOf(url)
    for (let parts = 0; parts < 3; parts++) engines[0]?.send(Buffer.alloc(MAX_BACKLOG_BYTES, 0x47))
    await eventually(() => {
      checks.fire()
      expect(fake.counters.endsApplied).toBe(1)
    })
    expect(proxy).toMatchObject({ viewers: 0, figures: { tooSlow: 1 } })
    expect(engines[0]?.sessions.size).toBe(0)
    stopped.resume()
  })

  it.each(['breaks off', 'falls silent'])('all continue on one other engine if theirs fails (the engine %s)', async (failure) => {
    const silences = holdTimers()
    const { fake, engines, proxy, client, url } = await stage({ engineCount: 3, proxy: { idleTimeoutMs: HELD_MS } })
    const viewers = await viewAll(url)
    const failed = playing(engines)
    if (failure === 'breaks off') failed.breakOff()
    else failed.fallSilent()
    await eventually(() => {
      if (proxy.figures.rescued === 0 && failure === 'falls silent') silences.fire()
      expect(proxy.figures).toEqual({ rescued: VIEWERS, cutOff: 0, tooSlow: 0 })
    })
    await Promise.all(viewers.map((viewer) => expectFurtherBytes(viewer)))
    expect(playing(engines)).not.toBe(failed)
    await eventually(() =>
      expect(engines.map(({ opened, sessions }) => [opened, sessions.size]).sort()).toEqual([
        [0, 0],
        [1, 0],
        [1, 1],
      ]),
    )
    await eventually(() => expect(fake.counters).toMatchObject({ startsApplied: 2, endsApplied: 1 }))
    expect(client.metrics().streams).toMatchObject({ live: 1, viewers: VIEWERS })
  })

  it('all continue on one new engine after a restart of the orchestrator', async () => {
    const { fake, engines, proxy, client, url } = await stage({ engineCount: 2 })
    const viewers = await viewAll(url)
    fake.restart()
    for (const engine of engines) engine.fallSilent()
    expect((await client.reconcile()).lost).toHaveLength(1)
    await Promise.all(viewers.map((viewer) => expectFurtherBytes(viewer)))
    expect(proxy.figures).toEqual({ rescued: VIEWERS, cutOff: 0, tooSlow: 0 })
    await eventually(() => expect(fake.liveStreamIds()).toHaveLength(1))
    await eventually(() => expect(engines.reduce((sum, { sessions }) => sum + sessions.size, 0)).toBe(1))
  })

  it('are all cut off if their engine fails and no other one has room', async () => {
    const { engines, proxy, url } = await stage()
    const viewers = await Promise.all(Array.from({ length: 3 }, () => view(url)))
    engines[0]?.die('breaks-off')
    await Promise.all(viewers.map(({ gone }) => gone))
    expect(viewers.map(({ reason }) => reason)).toEqual(Array(3).fill('cut off during the stream'))
    expect(proxy.figures).toEqual({ rescued: 0, cutOff: 3, tooSlow: 0 })
  })

  it('all get the end of a video that ends, whose stream does not linger', async () => {
    const { fake, engines, client, proxy, url } = await stage({ proxy: { lingerMs: 600_000 } })
    const reasons: unknown[] = []
    client.on('stream:ended', ({ reason }) => reasons.push(reason))
    const responses = await Promise.all(Array.from({ length: 3 }, () => responseOf(url)))
    const ends = responses.map((response) => once(response.resume(), 'end'))
    engines[0]?.finish()
    await Promise.all(ends)
    await eventually(() => expect(reasons).toEqual(['completed']))
    await eventually(() => expect(fake.liveStreamIds()).toEqual([]))
    expect(proxy.figures).toEqual({ rescued: 0, cutOff: 0, tooSlow: 0 })
  })
})

describe('a viewer who comes back within lingerMs', () => {
  it('finds the session, and no stream was started or ended', async () => {
    const { fake, engines, client, proxy, url } = await stage({ proxy: { lingerMs: 600_000 } })
    const viewer = await view(url)
    await viewer.leave()
    await eventually(() => expect(client.metrics().streams).toMatchObject({ viewers: 0, lingering: 1 }))
    const back = await view(url)
    expect(back.state).toBe('watching')
    await expectFurtherBytes(back)
    expect(engines[0]).toMatchObject({ opened: 1, stopCommands: 0 })
    expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 0 })
    await proxy.close()
    expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1 })
    expect(engines[0]?.sessions.size).toBe(0)
  })

  it('gets a new session if the engine failed meanwhile', async () => {
    const { engines, client, url } = await stage({ engineCount: 2, proxy: { lingerMs: 600_000 } })
    const viewer = await view(url)
    const failed = playing(engines)
    await viewer.leave()
    await eventually(() => expect(client.metrics().streams.lingering).toBe(1))
    failed.breakOff()
    await eventually(() => expect(client.metrics().streams).toMatchObject({ live: 0, lingering: 0 }))
    expect((await view(url)).state).toBe('watching')
    expect(playing(engines)).not.toBe(failed)
  })
})

describe('a stream that lingers', () => {
  it('ends after lingerMs, and its session is stopped', async () => {
    const lingering = holdTimers()
    const { fake, engines, client, url } = await stage({ proxy: { lingerMs: HELD_MS } })
    await (await view(url)).leave()
    await eventually(() => expect(client.metrics().streams.lingering).toBe(1))
    expect(fake.counters.endsApplied).toBe(0)
    await eventually(() => {
      lingering.fire()
      expect(fake.counters.endsApplied).toBe(1)
    })
    expect(engines[0]).toMatchObject({ stopCommands: 1, sessions: new Set() })
  })

  it('yields its slot to a viewer of another content who waits', async () => {
    const { engines, url } = await stage({ proxy: { lingerMs: 600_000, capacityTimeoutMs: 600_000 } })
    await (await view(url, 1)).leave()
    expect((await view(url, 2)).state).toBe('watching')
    expect(engines[0]).toMatchObject({ opened: 2, peak: 1 })
  })
})

/** Starts 20 viewers of one content. After the test all of them leave at once. */
async function viewAll(url: string): Promise<Viewer[]> {
  const viewers = await Promise.all(Array.from({ length: VIEWERS }, () => view(url)))
  onTestFinished(async () => {
    await Promise.all(viewers.map((viewer) => viewer.leave()))
    await Promise.all(viewers.map(({ gone }) => gone))
  })
  return viewers
}

/** Requests the stream, and reads nothing until the test does. */
async function responseOf(url: string): Promise<IncomingMessage> {
  const request = http.get(`${url}/ace/getstream?infohash=${infohash()}`, { agent: false })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.on('error', () => {})
  onTestFinished(() => void response.destroy())
  return response
}
