import { describe, expect, it } from 'vitest'
import { parseContent } from '../../examples/proxy/content.ts'
import { answerTo, get } from './player.ts'
import { infohash, type Stage, stage, view } from './stage.ts'

const MAGNET = `magnet:?xt=urn:btih:${infohash()}&tr=udp://tracker.invalid:80`
const TORRENT = 'https://torrents.invalid/film.torrent?a=1&b=2'

describe('a content', () => {
  it.each([
    ['an id', '/ace/getstream?id=c0ffee', 'id', 'content_id', 'c0ffee'],
    ['an infohash', `/ace/getstream?infohash=${infohash()}`, 'infohash', 'infohash', infohash()],
    ['the URL of a torrent', `/ace/getstream?url=${encodeURIComponent(TORRENT)}`, 'url', 'url', TORRENT],
    ['a magnet link', `/ace/getstream?magnet=${encodeURIComponent(MAGNET)}`, 'magnet', 'magnet', MAGNET],
    ['an id in the path', '/content_id/c0ffee', 'id', 'content_id', 'c0ffee'],
    ['an infohash in the path', `/infohash/${infohash()}/`, 'infohash', 'infohash', infohash()],
    ['an id beside an empty infohash, as for the Go proxy', '/ace/getstream?id=c0ffee&infohash=', 'id', 'content_id', 'c0ffee'],
  ])('that is named by %s is requested from the engine and announced under that name', async (_, path, name, keyType, key) => {
    const { fake, engines, url } = await stage()
    const answer = await answerTo(get(url + path))
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, 'video/mp2t'])
    expect(engines[0]?.lastQuery.get(name)).toBe(key)
    expect([...(engines[0]?.lastQuery.keys() ?? [])].sort()).toEqual(['format', name, 'pid'].sort())
    expect(fake.streams).toMatchObject([{ keyType, key }])
  })

  it.each([
    ['no content', '/ace/getstream'],
    ['two kinds of keys', '/ace/getstream?id=a&magnet=magnet:?xt=b'],
    ['a file of the engine', '/ace/getstream?url=file:///etc/passwd'],
    ['a URL with a password', '/ace/getstream?url=https://user:secret@torrents.invalid/a'],
    ['a URL that is none', '/ace/getstream?url=a'],
    ['a magnet link that is none', '/ace/getstream?magnet=http://a'],
    ['an id with a null character', '/ace/getstream?id=a%00b'],
    ['an id with a null character in the path', '/content_id/a%00b'],
    ['an id with a line break', '/content_id/a%0d%0aX-Evil:%201'],
    ['an id of 257 characters', `/content_id/${'a'.repeat(257)}`],
    ['an id in the path and another one in the query', '/content_id/a?id=b'],
    ['an engine parameter with an unknown character', '/ace/getstream?id=a&transcode_audio=1%26pid=2'],
  ])('is refused with status 400 if the request names %s', async (_, path) => {
    const { engines, url } = await stage()
    const answer = await answerTo(get(url + path))
    expect(answer.statusCode).toBe(400)
    expect(engines[0]?.requestCount).toBe(0)
  })

  it('may be a magnet link of 8,192 characters, and no longer', () => {
    const link = 'magnet:?'.padEnd(8_192, 'x')
    expect(parseContent(new URLSearchParams({ magnet: link })).key).toBe(link)
    expect(() => parseContent(new URLSearchParams({ magnet: `${link}x` }))).toThrow('magnet: expected 1 to 8192 characters')
  })
})

describe('the pid of a viewer', () => {
  it('is accepted and ignored: the engine gets another one', async () => {
    const { engines, url } = await stage()
    const answer = await answerTo(get(`${url}/ace/getstream?id=a&pid=mine&sid=mine&force_session_id=mine`))
    expect(answer.statusCode).toBe(200)
    expect([...(engines[0]?.lastQuery ?? [])].map(([name]) => name).sort()).toEqual(['format', 'id', 'pid'])
    expect(engines[0]?.lastQuery.get('pid')).not.toBe('mine')
  })
})

describe('an engine parameter', () => {
  const sessions = ({ engines }: Stage): number => engines[0]?.sessions.size ?? 0

  it('that changes the video reaches the engine, and only viewers with the same ones share a stream', async () => {
    const world = await stage({ client: { maxStreamsPerEngine: 4 } })
    const { engines, url } = world
    await view(url)
    for (const query of ['transcode_audio=1&_idx=0', '_idx=0&transcode_audio=1&other=x']) {
      await answerTo(get(`${url}/ace/getstream?infohash=${infohash()}&${query}`))
    }
    expect(sessions(world)).toBe(2)
    expect(engines[0]?.lastQuery.get('transcode_audio')).toBe('1')
    expect(engines[0]?.lastQuery.get('_idx')).toBe('0')
    await answerTo(get(`${url}/ace/getstream?infohash=${infohash()}&_idx=1`))
    expect(sessions(world)).toBe(3)
  })
})
