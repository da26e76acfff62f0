import type { ServerResponse } from 'node:http'
import { describe, expect, it, vi } from 'vitest'
import { MAX_PLAYLIST_LENGTH } from '../../examples/proxy/hls-playback.ts'
import type { ProxyOptions } from '../../examples/proxy/server.ts'
import { singleEngine } from '../../examples/proxy/single-engine.ts'
import { HELD_MS } from '../support/held-timers.ts'
import { fetchText, playlistOf } from './hls-player.ts'
import { answerTo, get, send } from './player.ts'
import { type Answers, engineThat, scriptedEngine } from './scripted-engine.ts'
import { eventually, startProxy } from './stage.ts'

const MANIFEST = '/ace/manifest.m3u8?id=a'

/** A proxy whose only engine has these answers. */
async function proxyOf(answers: Answers, options: Partial<ProxyOptions> = {}) {
  const engine = await scriptedEngine(engineThat(answers))
  const { proxy, url } = await startProxy({ source: singleEngine(engine), ...options })
  return { engine, proxy, url }
}

const playlist = (response: ServerResponse, ...lines: readonly string[]): void =>
  void response.writeHead(200, { 'content-type': 'audio/x-mpegurl' }).end(['#EXTM3U', ...lines].join('\n'))

describe('the playlist of an engine', () => {
  it.each([
    ['a web page', (response: ServerResponse) => response.writeHead(200, { 'content-type': 'text/html' }).end('<p>No')],
    ['no playlist', (response: ServerResponse) => response.writeHead(200, { 'content-type': 'audio/x-mpegurl' }).end('No')],
    ['a file of another host', (response: ServerResponse) => playlist(response, '#EXTINF:1,', 'http://192.0.2.1/a.ts')],
    ['a file of another port', (response: ServerResponse) => playlist(response, '#EXTINF:1,', 'http://127.0.0.1:1/a.ts')],
    ['a key of another host', (response: ServerResponse) => playlist(response, '#EXT-X-KEY:URI="//192.0.2.1/k"', 'a.ts')],
    ['a file of the machine', (response: ServerResponse) => playlist(response, '#EXTINF:1,', 'file:///etc/passwd')],
    ['a file that is not on HTTP', (response: ServerResponse, host: string) => playlist(response, '#EXTINF:1,', `ftp://${host}/a.ts`)],
    ['more than 1 MiB', (response: ServerResponse) => playlist(response, 'a'.repeat(MAX_PLAYLIST_LENGTH))],
  ])('is not sent if it is or names %s: the viewer gets status 502, and the session is stopped', async (_, answer) => {
    const { engine, url } = await proxyOf((path, response, base) =>
      path === '/play' ? answer(response, new URL(base).host) : response.end('secret'),
    )
    const { status, text } = await fetchText(url + MANIFEST)
    expect([status, JSON.parse(text)]).toMatchObject([502, { reason: 'engines_failed' }])
    expect(engine.paths).toEqual(['/ace/manifest.m3u8', '/play', '/cmd'])
  })

  it('may redirect within its host, and its relative URLs then belong to the new path', async () => {
    const { engine, url } = await proxyOf((path, response) => {
      if (path === '/play') response.writeHead(302, { location: '/deep/er/list.m3u8' }).end()
      else if (path.endsWith('.m3u8')) playlist(response, '#EXTINF:1,', '../one.ts?token=1')
      else response.end('video')
    })
    const { segments } = await playlistOf(url, MANIFEST)
    expect((await fetchText(segments[0] ?? '')).text).toBe('video')
    expect(engine.paths).toContain('/deep/one.ts')
  })

  it('may name files at the address at which the proxy reaches the engine, and redirect to it, if the engine calls itself otherwise', async () => {
    const answers: Answers = (path, response, base) => {
      const reached = base.replace('localhost', '127.0.0.1')
      if (path === '/play') playlist(response, '#EXTINF:1,', `${reached}/a.ts`, '#EXTINF:1,', 'b.ts')
      else if (path === '/b.ts') response.writeHead(302, { location: `${reached}/a.ts` }).end()
      else response.end('video')
    }
    const engine = await scriptedEngine((path, response, base) =>
      engineThat(answers, `${base.replace('127.0.0.1', 'localhost')}/play`)(path, response, base),
    )
    const { url } = await startProxy({ source: singleEngine(engine) })
    const { segments } = await playlistOf(url, MANIFEST)
    for (const segment of segments) expect(await fetchText(segment)).toMatchObject({ status: 200, text: 'video' })
  })

  it('may name 10,000 files; then the names that were not in it for the longest time are forgotten', async () => {
    const files = Array.from({ length: 9_999 }, (_, index) => `${index}.ts`)
    let answers = 0
    const { url } = await proxyOf((_, response) => playlist(response, 'always.ts', ...(++answers < 3 ? files : ['new.ts'])))
    const before = await playlistOf(url, MANIFEST)
    const after = await playlistOf(url, MANIFEST)
    const [always = '', first = '', second = ''] = before.segments
    expect(after.segments).toHaveLength(2)
    for (const [segment, status] of [
      ...after.segments.map((name) => [name, 200] as const),
      [always, 200],
      [first, 404],
      [second, 200],
    ] as const) {
      expect((await answerTo(send(url, 'HEAD', new URL(segment).pathname))).statusCode).toBe(status)
    }
  })

  it('may stay the same if it is complete, as that of a recording', async () => {
    const { engine, url } = await proxyOf((_, response) => playlist(response, '#EXTINF:1,', 'a.ts', '#EXT-X-ENDLIST'), {
      idleTimeoutMs: 1_000,
    })
    const { text } = await playlistOf(url, MANIFEST)
    await playlistOf(url, MANIFEST)
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 10_000)
    expect((await playlistOf(url, MANIFEST)).text).toBe(text)
    expect(engine.paths).not.toContain('/cmd')
  })

  it('is requested again if the engine broke it off when nobody waited any more', async () => {
    const held: ServerResponse[] = []
    let answers = 0
    const { engine, proxy, url } = await proxyOf((_, response) => {
      if (++answers === 3) held.push(response)
      else playlist(response, '#EXTINF:1,', 'a.ts')
    })
    await playlistOf(url, MANIFEST)
    const leaving = get(url + MANIFEST)
    await eventually(() => expect(held).toHaveLength(1))
    leaving.destroy()
    await eventually(() => expect(proxy.viewers).toBe(0))
    held[0]?.destroy()
    await eventually(async () => expect((await playlistOf(url, MANIFEST)).segments).toHaveLength(1))
    expect(engine.paths.filter((path) => path === '/ace/manifest.m3u8')).toHaveLength(1)
  })

  it('is not waited for when the only viewer has left: the session is stopped', async () => {
    const { engine, url } = await proxyOf(() => undefined, { headerTimeoutMs: HELD_MS })
    const leaving = get(url + MANIFEST)
    await eventually(() => expect(engine.paths).toContain('/play'))
    leaving.destroy()
    await eventually(() => expect(engine.paths).toContain('/cmd'))
  })

  it('may name other playlists, whose files are sent too', async () => {
    const { engine, url } = await proxyOf((path, response) => {
      if (path === '/play') playlist(response, '#EXT-X-STREAM-INF:BANDWIDTH=1', 'low', '#EXT-X-STREAM-INF:BANDWIDTH=2', 'high')
      else if (path === '/high') playlist(response, '#EXT-X-KEY:METHOD=AES-128,URI="k.key"', '#EXTINF:1,', 'high.ts')
      else response.end(path)
    })
    const { segments } = await playlistOf(url, MANIFEST)
    expect(segments).toHaveLength(2)
    const nested = await playlistOf(url, segments[1])
    expect((await fetchText(nested.segments[0] ?? '')).text).toBe('/high.ts')
    const key = /URI="([^"]*)"/.exec(nested.text)?.[1] ?? ''
    expect((await fetchText(new URL(key, nested.url).href)).text).toBe('/k.key')
    expect(engine.paths).not.toContain('/low')
  })

  it('keeps no viewer who has left, and ends for none of the others, even if the engine hangs', async () => {
    let answers = 0 // the proxy requests the playlist when it opens a session, and again for the viewer
    const held: ServerResponse[] = []
    const { engine, proxy, url } = await proxyOf((path, response) => {
      if (path === '/play' && ++answers > 2) held.push(response)
      else playlist(response, '#EXTINF:1,', 'a.ts')
    })
    await playlistOf(url, MANIFEST)
    const leaving = get(url + MANIFEST)
    const waiting = answerTo(get(url + MANIFEST))
    await eventually(() => expect([held.length, proxy.viewers]).toEqual([1, 2]))
    leaving.destroy()
    await eventually(() => expect(proxy.viewers).toBe(1))
    playlist(held[0] as ServerResponse, '#EXTINF:1,', 'a.ts')
    expect((await waiting).statusCode).toBe(200)
    expect(engine.paths).not.toContain('/cmd')
  })

  it('may not name other playlists in one of these', async () => {
    const { url } = await proxyOf((path, response) => playlist(response, '#EXT-X-STREAM-INF:BANDWIDTH=1', `${path}a`))
    const { segments } = await playlistOf(url, MANIFEST)
    expect((await fetchText(segments[0] ?? '')).status).toBe(502)
  })
})

describe('a segment', () => {
  it('that the engine does not have any more leads to status 502, and the session goes on', async () => {
    const { engine, url } = await proxyOf((path, response) => {
      if (path === '/play') playlist(response, '#EXTINF:1,', 'old.ts', '#EXTINF:1,', 'new.ts')
      else response.writeHead(path === '/old.ts' ? 404 : 200).end('video')
    })
    const { segments } = await playlistOf(url, MANIFEST)
    expect((await fetchText(segments[0] ?? '')).status).toBe(502)
    expect((await fetchText(segments[1] ?? '')).text).toBe('video')
    expect((await playlistOf(url, MANIFEST)).segments).toEqual(segments)
    expect(engine.paths).not.toContain('/cmd')
  })

  it('that redirects to another host is not requested there', async () => {
    const { url } = await proxyOf((path, response) => {
      if (path === '/play') playlist(response, '#EXTINF:1,', 'a.ts')
      else response.writeHead(302, { location: 'http://192.0.2.1/a.ts' }).end()
    })
    const { segments } = await playlistOf(url, MANIFEST)
    expect((await fetchText(segments[0] ?? '')).status).toBe(502)
  })

  it('whose engine breaks off ends with a closed connection, so that the player notices it', async () => {
    const { url } = await proxyOf((path, response) => {
      if (path === '/play') return playlist(response, '#EXTINF:1,', 'a.ts')
      response.writeHead(200, { 'content-length': 1_000 }).write('video')
      setImmediate(() => response.destroy())
    })
    const { segments } = await playlistOf(url, MANIFEST)
    await expect(fetchText(segments[0] ?? '')).rejects.toThrow('aborted')
  })
})
