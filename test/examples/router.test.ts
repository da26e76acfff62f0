import { describe, expect, it } from 'vitest'
import { RecordingLogger } from '../support/recording-logger.ts'
import { answerTo, get, send } from './player.ts'
import { eventually, infohash, stage, view } from './stage.ts'

describe('a path', () => {
  it.each([
    ['/', 200],
    ['/status', 404],
    ['/ace', 404],
    ['/ace/getstream/x', 404],
    ['//ace/getstream?id=a', 404],
    ['/ace/../ace/getstream?id=a', 404],
    ['/ace/%2e%2e/ace/status', 404],
    ['/content_id/..', 404],
    ['/content_id/%2e%2e', 404],
    ['/content_id/%zz', 404],
    ['/content_id/', 404],
    ['/ace%2fstatus', 404],
    ['/ACE/STATUS', 404],
    ['/ace/status/', 200],
    ['/ace/statu%73', 200],
    ['/ace/status#fragment', 200],
    ['/ace/status?x=/../..', 200],
    ['/content_id/%252e%252e', 200],
  ])('%s gets status %d', async (path, status) => {
    const { url } = await stage()
    expect((await answerTo(send(url, 'HEAD', path))).statusCode).toBe(status)
  })

  it('in absolute form is one of the proxy, whatever host it names', async () => {
    const { url } = await stage()
    expect((await answerTo(send(url, 'GET', 'http://elsewhere.invalid/ace/status'))).statusCode).toBe(200)
    expect((await answerTo(send(url, 'GET', 'http://elsewhere.invalid'))).statusCode).toBe(200)
    expect((await answerTo(send(url, 'GET', 'ftp://elsewhere.invalid/ace/status'))).statusCode).toBe(404)
  })

  it('begins with ACEXY_BASE_PATH if that is set', async () => {
    const { url } = await stage({ proxy: { basePath: '/tv/live' } })
    expect((await answerTo(get(`${url}/tv/live/ace/status`))).statusCode).toBe(200)
    expect((await answerTo(get(`${url}/ace/status`))).statusCode).toBe(404)
    expect((await answerTo(get(`${url}/tv/ace/status`))).statusCode).toBe(404)
    expect((await answerTo(get(`${url}/tv/live/content_id/a`))).statusCode).toBe(200)
  })
})

describe('a method', () => {
  it('OPTIONS is answered with the methods, and needs no engine', async () => {
    const { engines, url } = await stage()
    for (const path of ['/ace/getstream?id=a', '/content_id/a', '/ace/status', '*']) {
      const answer = await answerTo(send(url, 'OPTIONS', path))
      expect([answer.statusCode, answer.headers.allow]).toEqual([204, 'GET, HEAD, OPTIONS'])
    }
    expect((await answerTo(send(url, 'OPTIONS', '/unknown'))).statusCode).toBe(404)
    expect(engines[0]?.requestCount).toBe(0)
  })

  it.each(['POST', 'PUT', 'DELETE', 'PATCH', 'TRACE'])('%s gets status 405', async (method) => {
    const { url } = await stage()
    const answer = await answerTo(send(url, method, '/ace/getstream?id=a'))
    expect([answer.statusCode, answer.headers.allow]).toEqual([405, 'GET, HEAD, OPTIONS'])
  })

  it('HEAD gets what GET gets, without a body and without an engine', async () => {
    const { engines, url } = await stage()
    const answer = await answerTo(send(url, 'HEAD', '/content_id/a'))
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, 'video/mp2t'])
    expect((await answerTo(send(url, 'HEAD', '/ace/status'))).headers['content-type']).toBe('application/json')
    expect(engines[0]?.requestCount).toBe(0)
  })
})

describe('a web page of another origin', () => {
  it('may play a video, and read why it was refused', async () => {
    const { url } = await stage()
    const video = await answerTo(get(`${url}/content_id/a`))
    expect(video.headers['access-control-allow-origin']).toBe('*')
    const refusal = await answerTo(get(`${url}/content_id/b`))
    expect(refusal.statusCode).toBe(503)
    expect(refusal.headers['access-control-allow-origin']).toBe('*')
    expect(refusal.headers['access-control-expose-headers']).toContain('retry-after')
    const preflight = await answerTo(send(url, 'OPTIONS', '/ace/getstream?id=a', { origin: 'http://page.invalid' }))
    expect(preflight.headers).toMatchObject({ 'access-control-allow-origin': '*', 'access-control-allow-headers': '*' })
  })

  it('cannot read the status of the proxy', async () => {
    const { url } = await stage()
    expect((await answerTo(get(`${url}/ace/status`))).headers['access-control-allow-origin']).toBeUndefined()
  })
})

describe('a request id', () => {
  const logged = (log: RecordingLogger, message: string): unknown[] =>
    log.all.filter((line) => line.message === message).map(({ fields }) => (fields as { requestId?: unknown }).requestId)

  it('of the request is used if it is safe, returned, and in every log line of the request', async () => {
    const log = new RecordingLogger()
    const { engines, url } = await stage({ proxy: { log } })
    for (const engine of engines) engine.misbehaviour = 'errors'
    const answer = await answerTo(send(url, 'GET', '/content_id/a', { 'x-request-id': 'abc-1.2:3' }))
    answer.resume()
    expect(answer.headers['x-request-id']).toBe('abc-1.2:3')
    await eventually(() => expect(logged(log, 'request')).toEqual(['abc-1.2:3']))
    expect(logged(log, 'An engine failed')).toEqual(['abc-1.2:3'])
    expect(logged(log, 'A viewer was refused')).toEqual(['abc-1.2:3'])
  })

  it.each([[''], ['a b'], ['"}'], ['x'.repeat(65)], [undefined]])('of %j is replaced by a new one', async (sent) => {
    const { url } = await stage()
    const answer = await answerTo(send(url, 'GET', '/ace/status', sent === undefined ? {} : { 'x-request-id': sent }))
    expect(answer.headers['x-request-id']).toMatch(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/)
  })

  it('stands in a line with method, route, status and duration, and the line has no query', async () => {
    const log = new RecordingLogger()
    const { url } = await stage({ proxy: { log } })
    await (await view(url)).leave()
    const line = (): object | undefined => log.all.find(({ message }) => message === 'request')
    await eventually(() => expect(line()).toBeDefined())
    const fields = { method: 'GET', path: '/ace/getstream', status: 200, client: '127.0.0.1', ms: expect.any(Number) }
    expect(line()).toMatchObject({ level: 'info', fields })
    expect(JSON.stringify(line())).not.toContain(infohash())
  })
})
