import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { LATE_MS } from '../../examples/demo/fake-engine.ts'
import { readConfig } from '../../examples/proxy/config.ts'
import { singleEngine } from '../../examples/proxy/single-engine.ts'
import { holdTimers } from '../support/held-timers.ts'
import { answerTo, get, send } from './player.ts'
import { eventually, stage, startEngine, startProxy } from './stage.ts'

/** The requests of the Go proxy's own tests (`repro_test.go`), and of those of its fork for the orchestrator. Paths and statuses are theirs. */
async function goProxy() {
  const engine = await startEngine()
  // The fields of the Go tests, as environment variables.
  const env = { ACEXY_HOST: engine.host, ACEXY_PORT: `${engine.port}`, ACEXY_EMPTY_TIMEOUT: '10s', ACEXY_NO_RESPONSE_TIMEOUT: '2s' }
  const config = readConfig({ ...env, ACEXY_LINGER: '0', ACEXY_BUFFER_SIZE: '1024' })
  const { proxy, url } = await startProxy({ ...config, source: singleEngine(config.engine) })
  const getStream = (id: string) => get(`${url}/ace/getstream?id=${id}`)
  const status = async (): Promise<number | undefined> => (await answerTo(get(`${url}/ace/status`))).statusCode
  return { engine, proxy, url, getStream, status }
}

/** Resolves when further bytes arrive. */
const bytes = (answer: IncomingMessage): Promise<unknown> => once(answer, 'data')

/** Visits channels one after the other: a few bytes of each. */
async function switchChannels(getStream: (id: string) => ReturnType<typeof get>, name: string, count: number): Promise<void> {
  for (let channel = 0; channel < count; channel++) {
    const request = getStream(`${name}-${channel}`)
    await bytes(await answerTo(request))
    request.destroy()
  }
}

describe("the requests of the Go proxy's tests", () => {
  it('a viewer of another stream is served while one reads nothing, and another one comes and goes', async () => {
    const { getStream } = await goProxy()
    expect((await answerTo(getStream('teststream'))).statusCode).toBe(200)
    const second = getStream('teststream')
    await answerTo(second)
    second.destroy()
    const third = await answerTo(getStream('otherstream'))
    expect([third.statusCode, third.headers['content-type']?.toLowerCase()]).toEqual([200, 'video/mp2t'])
    await bytes(third)
  })

  it('a viewer gets data while another one of the same stream reads nothing', async () => {
    const { engine, getStream } = await goProxy()
    const reader = await answerTo(getStream('survival-test'))
    await answerTo(getStream('survival-test'))
    for (let pieces = 0; pieces < 5; pieces++) await bytes(reader)
    expect(engine.sessions.size).toBe(1)
  })

  it('the proxy survives 20 quick changes of the channel, and its status is 200', async () => {
    const { engine, getStream, status } = await goProxy()
    await switchChannels(getStream, 'rapid-switch', 20)
    expect(await status()).toBe(200)
    await eventually(() => expect([engine.opened, engine.stopCommands]).toEqual([20, 20]))
  })

  it('the status is 200 while five requests wait for a slow engine', async () => {
    const answers = holdTimers(LATE_MS)
    const { engine, getStream, status } = await goProxy()
    engine.misbehaviour = 'answers-late'
    const requests = [0, 1, 2, 3, 4].map((channel) => getStream(`slow-backend-${channel}`))
    await eventually(() => expect(engine.requestCount).toBe(5))
    expect(await status()).toBe(200)
    for (const request of requests) request.destroy()
    answers.fire()
    await eventually(() => expect([engine.opened, engine.stopCommands]).toEqual([5, 5]))
  })

  it('three viewers get data on three channels, or two of them on one, while others change channels', async () => {
    const { engine, proxy, getStream, status } = await goProxy()
    for (const channels of [
      ['long-A', 'long-B', 'long-C'],
      ['shared-channel', 'shared-channel'],
    ]) {
      const requests = channels.map(getStream)
      const answers = await Promise.all(requests.map(answerTo))
      await Promise.all([switchChannels(getStream, 'A-switch', 6), switchChannels(getStream, 'B-switch', 6)])
      expect(await status()).toBe(200)
      await Promise.all(answers.map(bytes))
      for (const request of requests) request.destroy()
      await eventually(() => expect([proxy.viewers, engine.sessions.size]).toEqual([0, 0]))
    }
  })

  it('a stream has data, and a request without a content gets an error instead of an empty 200', async () => {
    const { url, getStream } = await goProxy()
    await bytes(await answerTo(getStream('normal-stream')))
    expect((await answerTo(get(`${url}/ace/getstream`))).statusCode).toBe(400)
  })
})

describe("the requests of the fork's tests", () => {
  it('a stream that finishes is announced as ended with the reason completed', async () => {
    const { fake, engines, client, url } = await stage()
    const reasons: unknown[] = []
    client.on('stream:ended', ({ reason }) => reasons.push(reason))
    const answer = await answerTo(get(`${url}/ace/getstream?id=test-stream-id`))
    expect(answer.statusCode).toBe(200)
    engines[0]?.finish()
    await once(answer.resume(), 'end')
    await eventually(() => expect(reasons).toEqual(['completed']))
    expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1 })
  })

  it('an engine that cannot play leaves no stream: the viewer gets status 502, and no start is announced that would need an end', async () => {
    const { fake, engines, url } = await stage()
    for (const engine of engines) engine.misbehaviour = 'refuses'
    expect((await answerTo(get(`${url}/ace/getstream?id=test-stream-id`))).statusCode).toBe(502)
    expect(fake.counters).toMatchObject({ startsApplied: 0, endsApplied: 0 })
  })

  it('without an orchestrator a stream plays to its end', async () => {
    const { engine, getStream } = await goProxy()
    const answer = await answerTo(getStream('test-stream-id'))
    engine.finish()
    await once(answer.resume(), 'end')
    expect([answer.statusCode, answer.complete]).toEqual([200, true])
  })

  it('an orchestrator that refuses an engine leads to status 503 with a Retry-After', async () => {
    const { url } = await stage({ engineCount: 0, proxy: { capacityTimeoutMs: 16_000 } })
    const answer = await answerTo(get(`${url}/ace/getstream?id=test-stream-id`))
    expect([answer.statusCode, Number(answer.headers['retry-after']) > 0]).toEqual([503, true])
  })
})

describe('what the Go proxy answers otherwise', () => {
  it.each([
    ['POST', '/ace/getstream?id=a', 405, 405],
    ['GET', '/ace/getstream', 400, 400],
    ['GET', '/ace/getstream?id=a&infohash=b', 400, 400],
    ['GET', '/ace/getstream?id=&infohash=', 400, 400],
    ['GET', '/ace/getstream/?infohash=a&id=', 200, 200],
    ['POST', '/ace/status', 405, 405],
    ['GET', '/ace', 404, 404],
    ['GET', '/ace/getstream/a', 404, 404],
    ['HEAD', '/ace/getstream?id=a', 405, 200],
    ['OPTIONS', '/ace/getstream?id=a', 405, 204],
    ['GET', '/ace/getstream?id=a&pid=b', 400, 200],
    ['GET', '/ace/getstream?id=a&id=b', 200, 400],
    ['GET', '/ace/getstream?magnet=magnet:?xt=a', 400, 200],
  ])('%s %s: the Go proxy sends %d, this one %d', async (method, path, _go, ours) => {
    const { url } = await goProxy()
    expect((await answerTo(send(url, method, path))).statusCode).toBe(ours)
  })
})
