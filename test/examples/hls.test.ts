import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it, vi } from 'vitest'
import { MAX_FILE_BYTES } from '../../examples/proxy/hls-file.ts'
import { MAX_FILES, MAX_KEPT_BYTES } from '../../examples/proxy/hls-files.ts'
import { singleEngine } from '../../examples/proxy/single-engine.ts'
import { HELD_MS, holdTimers } from '../support/held-timers.ts'
import { fetchText, playlistOf, stoppedRequest, textOf } from './hls-player.ts'
import { answerTo, get, send } from './player.ts'
import { eventually, infohash, stage, startEngine, startProxy, view } from './stage.ts'

const MANIFEST = `/ace/manifest.m3u8?infohash=${infohash()}`

describe('a player of HLS', () => {
  it('gets the playlist of an engine, whose URLs are those of the proxy, and the segments', async () => {
    const { engines, url } = await stage()
    const playlist = await playlistOf(url)
    expect(playlist.segments).toHaveLength(3)
    expect(playlist.text).not.toMatch(/127\.0\.0\.1|http|\/ace\//)
    const [first = ''] = playlist.segments
    expect(first).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/hls\/[\da-f-]{36}\/[\w-]+\.ts$/)
    const segment = await fetchText(first)
    expect(segment).toMatchObject({ status: 200, headers: { 'content-type': 'video/mp2t', 'access-control-allow-origin': '*' } })
    expect(segment.text).toBe(engines[0]?.hls.requested[0])
  })

  it('finds in each playlist the same URL for the same segment, and new segments', async () => {
    const { url } = await stage()
    const [one, two] = [await playlistOf(url), await playlistOf(url)]
    expect(two.sequence).toBe(one.sequence + 1)
    expect(two.segments.slice(0, 2)).toEqual(one.segments.slice(1))
  })

  it.each([
    ['/ace/getstream', `/ace/getstream?infohash=${infohash()}`],
    ['a path', `/infohash/${infohash()}`],
    ['a path with a slash at its end', `/infohash/${infohash()}/?pid=1`],
    ['a query with a slash at its end', `/ace/getstream?url=http://tv.example/?a/`],
  ])('gets it from %s too if ACEXY_M3U8 is true, under a base path', async (_, path) => {
    const { url } = await stage({ proxy: { isHls: true, basePath: '/tv' } })
    const { segments } = await playlistOf(url, `/tv${path}`)
    expect(segments[0]).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/tv\/hls\//)
    expect((await fetchText(segments[0] ?? '')).status).toBe(200)
  })

  it('gets each segment while the engine still sends it', async () => {
    const { engines, url } = await stage()
    const [engine] = engines
    if (engine === undefined) throw new Error('no engine')
    engine.hls.isHeld = true
    const { segments } = await playlistOf(url)
    const answer = await answerTo(get(segments[0] ?? ''))
    expect(String((await once(answer, 'data'))[0])).toBe(engine.hls.requested[0])
    expect(engine.hls.heldCount).toBe(1)
  })

  it('opens no session with a HEAD request', async () => {
    const { engines, url } = await stage()
    const answer = await answerTo(send(url, 'HEAD', MANIFEST))
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, 'application/vnd.apple.mpegurl'])
    expect(engines[0]?.requestCount).toBe(0)
  })

  it('learns from a HEAD request whether a segment exists, without a request to the engine', async () => {
    const { engines, url } = await stage()
    const { pathname } = new URL((await playlistOf(url)).segments[0] ?? '')
    expect((await answerTo(send(url, 'HEAD', pathname))).statusCode).toBe(200)
    expect((await answerTo(send(url, 'HEAD', `${pathname}a`))).statusCode).toBe(404)
    expect(engines[0]?.hls.requested).toEqual([])
  })

  it('gets status 404 for a file that no playlist has named, also if it is a file of the engine, and nothing is requested', async () => {
    const { engines, url } = await stage()
    const { segments } = await playlistOf(url)
    const directory = (segments[0] ?? '').replace(/[^/]*$/, '')
    const [session = ''] = engines[0]?.sessions ?? []
    const names = ['0.ts', '0.m3u8', '..%2fstatus', `${engines[0]?.host}:${engines[0]?.port}`, encodeURIComponent(`/ace/c/${session}/0.ts`)]
    for (const name of names) expect((await fetchText(directory + name)).status).toBe(404)
    expect((await fetchText(`${url}/hls/${session}/0.ts`)).status).toBe(404)
    expect(engines[0]?.hls.requested).toEqual([])
  })

  it('is refused with status 503 if no engine has room, and with status 400 without a content', async () => {
    const { url } = await stage()
    await view(url, 2)
    expect((await fetchText(url + MANIFEST)).status).toBe(503)
    expect((await fetchText(`${url}/ace/manifest.m3u8`)).status).toBe(400)
  })

  it('is served by a proxy without an orchestrator', async () => {
    const engine = await startEngine()
    const { url } = await startProxy({ source: singleEngine(engine) })
    const { segments } = await playlistOf(url)
    expect((await fetchText(segments[2] ?? '')).status).toBe(200)
    expect(engine.opened).toBe(1)
    expect((await view(url)).state).toBe('watching')
    expect(engine.opened).toBe(2)
  })
})

describe('players of HLS who play the same content', () => {
  it.each(GENERATIONS)('share one session and one start on %s, which is another one than that of MPEG-TS', async (generation) => {
    const { fake, engines, client, url } = await stage({ fake: { generation }, client: { maxStreamsPerEngine: 2 } })
    await Promise.all(Array.from({ length: 20 }, () => playlistOf(url)))
    expect([engines[0]?.opened, fake.counters.startsApplied]).toEqual([1, 1])
    expect(client.metrics().streams).toMatchObject({ live: 1, viewers: 1 })
    await view(url)
    expect([engines[0]?.opened, fake.counters.startsApplied]).toEqual([2, 2])
  })

  it('get the same playlist for a short time, with one request to the engine, and then a newer one', async () => {
    const { engines, url } = await stage({ proxy: { playlistAgeMs: HELD_MS } })
    const [first, ...others] = await Promise.all(Array.from({ length: 20 }, () => playlistOf(url)))
    for (const { text } of [...others, await playlistOf(url)]) expect(text).toBe(first?.text)
    expect(engines[0]?.hls.playlistCount).toBe(1)
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + HELD_MS)
    expect((await playlistOf(url)).sequence).toBe((first?.sequence ?? 0) + 1)
    expect(engines[0]?.hls.playlistCount).toBe(2)
  })

  it('get a segment that is requested from the engine once, each from its beginning', async () => {
    const { engines, url } = await stage()
    const [engine] = engines
    if (engine === undefined) throw new Error('no engine')
    engine.hls.isHeld = true
    const { segments } = await playlistOf(url)
    const [segment = ''] = segments
    const early = await stoppedRequest(segment)
    const texts = Array.from({ length: 5 }, () => fetchText(segment))
    const answer = await answerTo(get(segment))
    engine.hls.release()
    for (const { text } of await Promise.all(texts)) expect(text).toBe(engine.hls.requested[0])
    await Promise.all([once(early.resume(), 'end'), once(answer.resume(), 'end')])
    expect((await fetchText(segment)).text).toBe(engine.hls.requested[0])
    expect(engine.hls.requested).toHaveLength(1)
  })

  it('get the rest of a segment when another one of them leaves', async () => {
    const { engines, proxy, url } = await stage()
    const [engine] = engines
    if (engine === undefined) throw new Error('no engine')
    engine.hls.isHeld = true
    const { segments } = await playlistOf(url)
    const leaving = get(segments[0] ?? '')
    await once(await answerTo(leaving), 'data')
    const staying = await stoppedRequest(segments[0] ?? '')
    leaving.destroy()
    await eventually(() => expect(proxy.viewers).toBe(1))
    engine.hls.release()
    expect(await textOf(staying)).toBe(engine.hls.requested[0])
  })

  it('end the request for a segment when the last of them has left', async () => {
    const { engines, url } = await stage()
    const [engine] = engines
    if (engine === undefined) throw new Error('no engine')
    engine.hls.isHeld = true
    const { segments } = await playlistOf(url)
    const requests = [get(segments[0] ?? ''), get(segments[0] ?? '')]
    for (const request of requests) await once(await answerTo(request), 'data')
    requests[0]?.destroy()
    await eventually(() => expect(engine.hls.heldCount).toBe(1))
    requests[1]?.destroy()
    await eventually(() => expect(engine.hls.heldCount).toBe(0))
    // It is not lost: the next viewer gets it.
    engine.hls.isHeld = false
    expect((await fetchText(segments[0] ?? '')).text).toBe(engine.hls.requested[0])
  })

  it('keep a bounded number of segments in the memory: a request beyond it gets status 503', async () => {
    const { engines, url } = await stage()
    const [engine] = engines
    if (engine === undefined) throw new Error('no engine')
    engine.hls.isHeld = true
    const segments = new Set<string>()
    while (segments.size <= MAX_FILES) for (const segment of (await playlistOf(url)).segments) segments.add(segment)
    const [beyond = '', ...others] = [...segments].slice(0, MAX_FILES + 1).reverse()
    await Promise.all(others.map(stoppedRequest))
    expect(await fetchText(beyond)).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
    engine.hls.isHeld = false
    engine.hls.release()
    expect(engine.hls.requested).toHaveLength(MAX_FILES)
  })
})

describe('the segments that a proxy keeps', () => {
  it('are the last 16: an older one is requested again', async () => {
    const { engines, url } = await stage()
    const segments = new Set<string>()
    while (segments.size <= MAX_FILES) for (const segment of (await playlistOf(url)).segments) segments.add(segment)
    const [oldest = '', ...newer] = [...segments].slice(0, MAX_FILES + 1)
    for (const segment of [oldest, ...newer, ...newer]) expect((await fetchText(segment)).status).toBe(200)
    expect(engines[0]?.hls.requested).toHaveLength(MAX_FILES + 1)
    await fetchText(oldest)
    expect(engines[0]?.hls.requested).toHaveLength(MAX_FILES + 2)
  })

  const third = Math.ceil(MAX_KEPT_BYTES / 3) + 1

  async function threeLongSegments() {
    const { engines, url } = await stage()
    const [engine] = engines
    if (engine === undefined) throw new Error('no engine')
    engine.hls.segment = Buffer.alloc(third, 0x47)
    const { segments } = await playlistOf(url)
    const [one = '', two = '', three = ''] = segments
    return { engine, one, two, three }
  }

  async function lengthOf(url: string): Promise<number> {
    return (await fetchText(url)).text.length
  }

  it('have at most 64 MiB: the oldest one that no viewer gets is requested again', async () => {
    const { engine, one, two, three } = await threeLongSegments()
    for (const segment of [one, two, three, three, two]) expect(await lengthOf(segment)).toBe(third)
    expect(engine.hls.requested).toHaveLength(3)
    await lengthOf(one)
    expect(engine.hls.requested).toHaveLength(4)
  })

  it('have at most 64 MiB even if viewers read nothing: the viewer of the oldest one is cut off', async () => {
    const { engine, one, two, three } = await threeLongSegments()
    const stopped = [await stoppedRequest(one), await stoppedRequest(two)] as const
    for (const segment of [one, two, three]) expect(await lengthOf(segment)).toBe(third)
    await expect(textOf(stopped[0])).rejects.toThrow('aborted')
    expect(await textOf(stopped[1])).toHaveLength(third)
    expect(engine.hls.requested).toHaveLength(3)
  })
})

describe('a segment that is longer than 32 MiB', () => {
  it('is cut off, so that the memory of a content is bounded', async () => {
    const { engines, url } = await stage()
    const [engine] = engines
    if (engine === undefined) throw new Error('no engine')
    engine.hls.segment = Buffer.alloc(MAX_FILE_BYTES + 1)
    const { segments } = await playlistOf(url)
    await expect(fetchText(segments[0] ?? '')).rejects.toThrow('aborted')
  })
})

describe('a viewer of HLS who does not read all of a segment at once', () => {
  const length = 16 * 1024 * 1024

  /** A viewer who reads when the test says so, while the proxy has the whole segment. Each `fire()` is a quarter of `slowViewerTimeoutMs`. */
  async function slowViewer() {
    const quarters = holdTimers()
    const { engines, proxy, url } = await stage({ proxy: { slowViewerTimeoutMs: 4 * HELD_MS } })
    const [engine] = engines
    if (engine === undefined) throw new Error('no engine')
    engine.hls.segment = Buffer.alloc(length, 0x47)
    const { segments } = await playlistOf(url)
    const answer = await stoppedRequest(segments[0] ?? '')
    expect((await fetchText(segments[0] ?? '')).text).toHaveLength(length)
    await eventually(() => expect(proxy.viewers).toBe(1))
    expect(engine.hls.requested).toHaveLength(1)
    return { answer, proxy, quarters }
  }

  it('is dropped after the time limit if it reads nothing, and others get the segment', async () => {
    const { proxy, quarters } = await slowViewer()
    for (let quarter = 0; quarter < 4; quarter++) quarters.fire()
    expect(proxy.figures.tooSlow).toBe(0)
    quarters.fire()
    await eventually(() => expect([proxy.figures.tooSlow, proxy.viewers]).toEqual([1, 0]))
  })

  it('is dropped after the time limit if it reads a little in each quarter of it, so that it does not hold the segment for hours', async () => {
    const { answer, proxy, quarters } = await slowViewer()
    for (let quarter = 1; quarter <= 5; quarter++) {
      expect(proxy.figures.tooSlow).toBe(0)
      await readAbout(1024 * 1024, answer)
      quarters.fire()
    }
    await eventually(() => expect([proxy.figures.tooSlow, proxy.viewers]).toEqual([1, 0]))
  })

  it('gets all of it if it reads the rest in time, and is not checked afterwards', async () => {
    const { answer, proxy, quarters } = await slowViewer()
    for (let quarter = 0; quarter < 4; quarter++) quarters.fire()
    expect(await textOf(answer)).toHaveLength(length)
    await eventually(() => expect(proxy.viewers).toBe(0))
    const { armed } = quarters
    quarters.fire()
    expect([quarters.armed, proxy.figures.tooSlow]).toEqual([armed, 0])
  })

  it('stays however long the engine takes to send the rest', async () => {
    const quarters = holdTimers()
    const { engines, proxy, url } = await stage({ proxy: { slowViewerTimeoutMs: 4 * HELD_MS } })
    const [engine] = engines
    if (engine === undefined) throw new Error('no engine')
    engine.hls.isHeld = true
    const { segments } = await playlistOf(url)
    const answer = await answerTo(get(segments[0] ?? ''))
    await once(answer, 'data')
    for (let quarter = 0; quarter < 10; quarter++) quarters.fire()
    engine.hls.release()
    await once(answer, 'end')
    expect(proxy.figures.tooSlow).toBe(0)
  })
})

/** Reads at least this number of bytes. */
async function readAbout(bytes: number, answer: IncomingMessage): Promise<void> {
  for (let read = 0; read < bytes; ) {
    const chunk = answer.read() as Buffer | null
    if (chunk === null) await once(answer, 'readable')
    else read += chunk.length
  }
}

describe('an HLS session', () => {
  it('ends after the time limit without requests, and its slot is free', async () => {
    const idle = holdTimers()
    const { fake, engines, client, url } = await stage({ proxy: { hlsTimeoutMs: HELD_MS } })
    const { segments } = await playlistOf(url)
    await fetchText(segments[0] ?? '')
    expect([idle.armed, fake.counters.endsApplied]).toEqual([2, 0])
    idle.fire()
    await eventually(() => expect(client.metrics()).toMatchObject({ streams: { live: 0 }, leases: { active: 0 } }))
    await eventually(() => expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1, innocentsEnded: 0 }))
    expect(engines[0]).toMatchObject({ stopCommands: 1, sessions: new Set() })
    expect((await fetchText(segments[0] ?? '')).status).toBe(404)
    expect((await view(url, 2)).state).toBe('watching')
  })

  it('goes on while a viewer reads a segment, however long that takes', async () => {
    const idle = holdTimers()
    const { engines, url } = await stage({ proxy: { hlsTimeoutMs: HELD_MS } })
    const [engine] = engines
    if (engine === undefined) throw new Error('no engine')
    engine.hls.isHeld = true
    const { segments } = await playlistOf(url)
    const reading = await stoppedRequest(segments[0] ?? '')
    await playlistOf(url)
    idle.fire()
    engine.hls.release()
    await once(reading.resume(), 'end')
    expect(engine.sessions.size).toBe(1)
  })

  it('ends when the proxy closes', async () => {
    const { fake, engines, proxy, url } = await stage()
    await playlistOf(url)
    await proxy.close()
    expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1 })
    expect(engines[0]?.sessions.size).toBe(0)
  })
})
