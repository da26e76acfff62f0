import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { parseContent, withAlternatives } from '../../examples/proxy/content.ts'
import { singleEngine } from '../../examples/proxy/single-engine.ts'
import { fetchText, playlistOf } from './hls-player.ts'
import { answerTo, get } from './player.ts'
import { eventually, stage, startEngine, startProxy } from './stage.ts'

/** A stage with engines on which these contents are dead. */
async function stageWithDead(dead: readonly string[], options: Parameters<typeof stage>[0] = {}) {
  const world = await stage(options)
  for (const engine of world.engines) for (const id of dead) engine.deadContents.add(id)
  return world
}

describe('an alternative', () => {
  it('is played in the same request if the content is dead, and then the next one', async () => {
    const { fake, engines, client, url } = await stageWithDead(['A', 'B'])
    const answer = await answerTo(get(`${url}/ace/getstream?id=A&alt=B&alt=C&alt=D`))
    expect(answer.statusCode).toBe(200)
    await once(answer, 'data')
    expect(engines[0]?.lastQuery.get('id')).toBe('C')
    expect(fake.streams).toMatchObject([{ keyType: 'content_id', key: 'C' }])
    expect(client.metrics().leases.active).toBe(0)
  })

  it('is not requested while the content plays', async () => {
    const { engines, url } = await stage()
    await once(await answerTo(get(`${url}/content_id/A?alt=B`)), 'data')
    expect([engines[0]?.requestCount, engines[0]?.lastQuery.get('id')]).toEqual([1, 'A'])
  })

  it('is not requested if no engine has room for the content: it would need a slot too', async () => {
    const { engines, url } = await stage()
    await once(await answerTo(get(`${url}/ace/getstream?id=other`)), 'data')
    expect((await answerTo(get(`${url}/ace/getstream?id=A&alt=B`))).statusCode).toBe(503)
    expect(engines[0]?.requestCount).toBe(1)
  })

  it('is not requested if the engines fail: then the content may be alive', async () => {
    const { engines, url } = await stage({ engineCount: 2 })
    for (const engine of engines) engine.misbehaviour = 'errors'
    expect((await answerTo(get(`${url}/ace/getstream?id=A&alt=B`))).statusCode).toBe(502)
    expect(engines.map(({ lastQuery }) => lastQuery.get('id'))).toEqual(['A', 'A'])
  })

  it('that plays is shared by viewers who wanted it and viewers who wanted the dead content', async () => {
    const { engines, url } = await stageWithDead(['A'])
    for (const path of ['/ace/getstream?id=B', '/ace/getstream?id=A&alt=B', '/content_id/A?alt=B']) {
      await once(await answerTo(get(url + path)), 'data')
    }
    expect(engines[0]).toMatchObject({ opened: 1, peak: 1 })
  })

  it('continues the response if the content dies during the stream', async () => {
    const { engines, url } = await stage({ engineCount: 2 })
    const answer = await answerTo(get(`${url}/ace/getstream?id=A&alt=B`))
    await once(answer, 'data')
    for (const engine of engines) engine.deadContents.add('A')
    for (const engine of engines) engine.breakOff()
    await eventually(() => expect(engines.map(({ lastQuery }) => lastQuery.get('id'))).toContain('B'))
    await once(answer, 'data')
  })

  it('leads to status 502 if all of them are dead', async () => {
    const { engines, url } = await stageWithDead(['A', 'B'])
    const { status, text } = await fetchText(`${url}/ace/getstream?id=A&alt=B`)
    expect([status, JSON.parse(text)]).toMatchObject([502, { reason: 'engines_failed' }])
    expect(engines[0]?.requestCount).toBe(2)
  })

  it('of HLS stays, and the dead content is not requested with each playlist', async () => {
    const { engines, url } = await stageWithDead(['A'])
    const path = '/ace/manifest.m3u8?id=A&alt=B'
    const [one, two] = [await playlistOf(url, path), await playlistOf(url, path)]
    expect(two.sequence).toBe(one.sequence + 1)
    expect(engines[0]).toMatchObject({ requestCount: 2, opened: 1 })
    // A viewer who does not accept it does not get it.
    expect((await fetchText(`${url}/ace/manifest.m3u8?id=A&alt=D`)).status).toBe(503)
  })

  it('of HLS stays too if nobody remembers that the content is dead', async () => {
    const engine = await startEngine()
    engine.deadContents.add('A')
    const { url } = await startProxy({ source: singleEngine(engine) })
    for (let request = 0; request < 5; request++) await playlistOf(url, '/ace/manifest.m3u8?id=A&alt=B')
    expect(engine).toMatchObject({ requestCount: 2, opened: 1 })
  })

  it('of HLS ends with its engine: the content is tried again before another engine plays the alternative', async () => {
    const engine = await startEngine()
    engine.deadContents.add('A')
    const { url } = await startProxy({ source: singleEngine(engine), hlsTimeoutMs: 1 })
    const path = '/ace/manifest.m3u8?id=A&alt=B'
    await playlistOf(url, path)
    await eventually(() => expect(engine.sessions.size).toBe(0))
    engine.deadContents.clear()
    await playlistOf(url, path)
    expect(engine.lastQuery.get('id')).toBe('A')
  })
})

describe('the alternatives of a request', () => {
  it('have the kind of key and the engine parameters of the content, and none is there twice', () => {
    const query = new URLSearchParams('infohash=A&alt=B&alt=A&alt=B&alt=&transcode_audio=1')
    const content = { keyType: 'infohash', key: 'A', parameters: 'transcode_audio=1' }
    expect(withAlternatives(parseContent(query), query)).toEqual([content, { ...content, key: 'B' }])
  })

  it.each([
    ['more than 8', Array.from({ length: 9 }, (_, index) => `alt=${index}`).join('&')],
    ['one with a control character', 'alt=a%00b'],
    ['one of 257 characters', `alt=${'a'.repeat(257)}`],
  ])('lead to status 400 if there are %s', async (_, alternatives) => {
    const { engines, url } = await stage()
    expect((await fetchText(`${url}/ace/getstream?id=A&${alternatives}`)).status).toBe(400)
    expect(engines[0]?.requestCount).toBe(0)
  })
})
