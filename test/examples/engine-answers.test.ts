import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { answerTo, get } from './player.ts'
import { type Answers, engineThat, type ScriptedEngine, scriptedEngine } from './scripted-engine.ts'
import { eventually, stage } from './stage.ts'

const video = (response: ServerResponse): void => void response.writeHead(200, { 'content-type': 'video/mp2t' }).write('video')
const redirect = (response: ServerResponse, location: string, status = 302): void => void response.writeHead(status, { location }).end()
const webPage = (response: ServerResponse, status = 200): void =>
  void response.writeHead(status, { 'content-type': 'Text/HTML; charset=utf-8' }).end('<p>Not available')

/** A viewer of a proxy that chooses this engine first. A second engine works, and gets the viewer if the first one fails. */
async function viewerOf(engine: ScriptedEngine) {
  const isFirst = ({ port }: { port: number }): number => Number(port === engine.port)
  const world = await stage({ client: { rankEngines: (one, other) => isFirst(other.engine) - isFirst(one.engine) } })
  world.fake.addEngine({ host: engine.host, port: engine.port })
  const answer = await answerTo(get(`${world.url}/content_id/a`))
  return { ...world, answer, second: world.engines[0] }
}

describe('an engine that redirects its playback', () => {
  it.each([301, 302, 303, 307, 308])('within its own host is followed (status %d)', async (status) => {
    const engine = await scriptedEngine(
      engineThat((path, response) => (path === '/play' ? redirect(response, '/other', status) : video(response))),
    )
    const { answer, second } = await viewerOf(engine)
    expect(answer.statusCode).toBe(200)
    expect(String((await once(answer, 'data'))[0])).toBe('video')
    expect(engine.paths).toEqual(['/ace/getstream', '/play', '/other'])
    expect(second?.requestCount).toBe(0)
  })

  it('five times is followed, and six times is not', async () => {
    const hops = (last: number): Answers =>
      engineThat((path, response) => {
        const hop = Number(path.slice('/play'.length))
        return hop < last ? redirect(response, `/play${hop + 1}`) : video(response)
      })
    const five = await scriptedEngine(hops(5))
    expect((await viewerOf(five)).second?.requestCount).toBe(0)
    const six = await scriptedEngine(hops(6))
    const { answer, second } = await viewerOf(six)
    expect([answer.statusCode, second?.requestCount]).toEqual([200, 1])
    expect(six.paths).not.toContain('/play6')
  })

  it('from a host that it names to the address at which the proxy reaches it is followed', async () => {
    const aside = await scriptedEngine((_, response) => redirect(response, `http://127.0.0.1:${engine.port}/video`))
    const engine: ScriptedEngine = await scriptedEngine(engineThat((_, response) => video(response), `http://localhost:${aside.port}/play`))
    const { answer, second } = await viewerOf(engine)
    expect([answer.statusCode, second?.requestCount]).toEqual([200, 0])
  })

  it.each([
    ['another port of its host', (other: number) => `http://127.0.0.1:${other}/secret`],
    ['another host', (other: number) => `//localhost:${other}/secret`],
    ['a file', () => 'file:///etc/passwd'],
    ['no URL', () => 'http://:'],
  ])('to %s is not followed, and another engine plays', async (_, location) => {
    const other = await scriptedEngine((_path, response) => video(response))
    const engine = await scriptedEngine(engineThat((_path, response) => redirect(response, location(other.port))))
    const { answer, second } = await viewerOf(engine)
    expect([answer.statusCode, second?.requestCount]).toEqual([200, 1])
    expect(other.paths).toEqual([])
    await eventually(() => expect(engine.paths).toEqual(['/ace/getstream', '/play', '/cmd']))
  })
})

describe('an engine that sends a web page', () => {
  it.each([
    ['instead of the video', engineThat((_, response) => webPage(response))],
    ['instead of the video, with status 403', engineThat((_, response) => webPage(response, 403))],
    ['instead of a session', ((path, response) => (path === '/cmd' ? response.end() : webPage(response))) as Answers],
  ])('%s says that the content is dead: the viewer gets status 502 at once, and no other engine is asked', async (_, answers) => {
    const { answer, second, client } = await viewerOf(await scriptedEngine(answers))
    expect(answer.statusCode).toBe(502)
    expect([second?.requestCount, client.metrics().leases.active]).toEqual([0, 0])
  })

  it('with status 502 is out of order itself, and another engine plays', async () => {
    const { answer, second } = await viewerOf(await scriptedEngine(engineThat((_, response) => webPage(response, 502))))
    expect([answer.statusCode, second?.requestCount]).toEqual([200, 1])
  })
})

describe('an engine that names a playback', () => {
  it.each(['ftp://127.0.0.1/video', 'file:///etc/passwd', 'javascript:0'])(
    'at %s is not asked for it: its session is stopped, and another engine plays',
    async (url) => {
      const engine = await scriptedEngine(engineThat((_, response) => video(response), url))
      const { answer, second } = await viewerOf(engine)
      expect([answer.statusCode, second?.requestCount]).toEqual([200, 1])
      expect(engine.paths).toEqual(['/ace/getstream', '/cmd'])
    },
  )
})
