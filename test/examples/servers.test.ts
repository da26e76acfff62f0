import { once } from 'node:events'
import http, { type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { createAdaptorServer } from '@hono/node-server'
import type { OrchestratorClient } from 'acestream-orchestrator-client'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { LATE_MS } from '../../examples/demo/fake-engine.ts'
import * as onFastify from '../../examples/servers/fastify.ts'
import * as onHono from '../../examples/servers/hono.ts'
import * as onNode from '../../examples/servers/node-http.ts'
import { read } from '../docs/pages.ts'
import { holdTimers } from '../support/held-timers.ts'
import { answerTo, ask, type TwoEngines, twoEngines, watching } from './player.ts'
import { eventually, infohash } from './stage.ts'

const SERVERS = ['node-http', 'fastify', 'hono'] as const

/** Starts the HTTP server of an example on a free port. */
async function listen(name: (typeof SERVERS)[number], client: OrchestratorClient): Promise<Server> {
  if (name === 'fastify') {
    const app = onFastify.createProxy(client)
    await app.listen({ host: '127.0.0.1', port: 0 })
    return app.server
  }
  const server = name === 'hono' ? (createAdaptorServer({ fetch: onHono.createProxy(client).fetch }) as Server) : onNode.createProxy(client)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

/** A proxy on a free port, with a fake orchestrator and two engines. */
async function serve(name: (typeof SERVERS)[number]): Promise<TwoEngines & { url: string; server: Server }> {
  // @hono/node-server writes each error of a video to the console.
  vi.spyOn(console, 'error').mockImplementation(() => undefined)
  const world = await twoEngines()
  const server = await listen(name, world.client)
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return { ...world, server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/ace/getstream` }
}

describe.each(SERVERS)('the example %s', (name) => {
  it('has at most 40 lines', () => {
    expect(read(`examples/servers/${name}.ts`).trimEnd().split('\n').length).toBeLessThanOrEqual(40)
  })

  it('plays to a viewer what the engine plays, and ends the stream and its session when the viewer leaves', async () => {
    const { client, fake, engine, url } = await serve(name)
    const { answer, leave } = await watching(url)
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, 'video/mp2t'])
    const [playbackSessionId] = engine.sessions
    expect(fake.streams).toMatchObject([{ keyType: 'infohash', key: infohash(), playbackSessionId, status: 'started' }])
    leave()
    await eventually(() => expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1 }))
    expect(engine).toMatchObject({ stopCommands: 1, sessions: new Set() })
    expect(client.metrics()).toMatchObject({ leases: { active: 0 }, streams: { live: 0 } })
  })

  it('does not count it as a failure of the engine if a viewer leaves: one who comes back gets the same engine', async () => {
    const { fake, engine, second, url } = await serve(name)
    const { leave } = await watching(url)
    leave()
    await eventually(() => expect(fake.counters.endsApplied).toBe(1))
    await watching(url)
    expect([engine.opened, second.opened]).toEqual([2, 0])
  })

  it('leaves nothing behind if the viewer leaves while the engine opens the session', async () => {
    const { client, fake, engine, url, server } = await serve(name)
    engine.misbehaviour = 'answers-late'
    const answers = holdTimers(LATE_MS)
    const request = ask(url)
    await eventually(() => expect(engine.requestCount).toBe(1))
    request.destroy()
    const count = promisify(server.getConnections.bind(server))
    await eventually(async () => expect(await count()).toBe(0))
    answers.fire()
    await eventually(() => expect(engine).toMatchObject({ opened: 1, stopCommands: 1, sessions: new Set() }))
    await eventually(() => expect(client.metrics().leases.active).toBe(0))
    expect(fake.counters.startsApplied).toBe(0)
  })

  it('plays from another engine if one refuses connections', async () => {
    const { engine, second, url } = await serve(name)
    await engine.close()
    const { answer } = await watching(url)
    expect([answer.statusCode, engine.opened, second.opened]).toEqual([200, 0, 1])
  })

  it('plays from another engine if one sends no video within 20 s, and leaves no session there', async () => {
    const { clock, engine, second, url } = await serve(name)
    engine.misbehaviour = 'hangs-after-head'
    const answer = answerTo(ask(url))
    await eventually(() => expect(engine.sessions.size).toBe(1))
    await clock.advance(20_000)
    expect([(await answer).statusCode, second.opened]).toEqual([200, 1])
    await eventually(() => expect(engine).toMatchObject({ stopCommands: 1, sessions: new Set() }))
  })

  it('ends the response properly when the video is over', async () => {
    const { fake, engine, url } = await serve(name)
    const { answer } = await watching(url)
    answer.resume()
    engine.finish()
    await once(answer, 'end')
    await eventually(() => expect(fake.counters.endsApplied).toBe(1))
    expect(answer.complete).toBe(true)
  })

  it('closes the response if the engine breaks off, and the player that asks again gets another engine', async () => {
    const { fake, engine, second, url } = await serve(name)
    const { answer } = await watching(url)
    const closed = new Promise((resolve) => answer.once('close', resolve))
    engine.breakOff()
    await closed
    expect(answer.complete).toBe(false)
    await eventually(() => expect(fake.counters.endsApplied).toBe(1))
    await watching(url)
    expect([engine.opened, second.opened]).toEqual([1, 1])
  })

  it('ends the stream of an engine that breaks off while the start is announced, and goes on', async () => {
    const { client, clock, engine, fake, url } = await serve(name)
    fake.latencyMs = (route) => (route === 'POST /events/stream_started' ? 500 : 0)
    const closed = new Promise((resolve) =>
      ask(url)
        .on('response', (answer) => answer.resume())
        .once('close', resolve),
    )
    await eventually(() => expect(client.metrics().requests.byRoute).toMatchObject({ 'POST /events/stream_started': 1 }))
    engine.breakOff()
    await eventually(() => expect(engine.sessions.size).toBe(0))
    await clock.advance(500)
    await closed
    await eventually(() => expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1 }))
    expect(client.metrics()).toMatchObject({ leases: { active: 0 }, streams: { live: 0 } })
    fake.latencyMs = 0
    await watching(url, infohash(2))
  })

  it('closes the response if the engine is gone, even if its connection stays open', async () => {
    const { client, clock, engine, fake, url } = await serve(name)
    const { answer } = await watching(url)
    const closed = new Promise((resolve) => answer.once('close', resolve))
    engine.die('falls-silent')
    fake.removeEngine(fake.engines[0]?.containerId ?? '')
    await clock.advance(60_000)
    await client.reconcile()
    await closed
    expect(answer.complete).toBe(false)
  })

  it('answers 503 with Retry-After when all engines are full', async () => {
    const { client, clock, url } = await serve(name)
    for (const number of [1, 2]) await watching(url, infohash(number))
    const answer = answerTo(ask(url, infohash(3)))
    await eventually(() => expect(client.metrics().leases.waiting).toBe(1))
    await clock.advance(30_000)
    const { statusCode, headers } = await answer
    expect([statusCode, headers['retry-after']]).toEqual([503, '43'])
  })

  it('opens no session for a request that names no content, or asks only for the head', async () => {
    const { engine, url } = await serve(name)
    const send = (method: string, query: string) => http.request(url + query, { method, agent: false }).end()
    const statusOf = async (request: http.ClientRequest): Promise<number | undefined> => {
      const answer: IncomingMessage = await answerTo(request)
      answer.resume()
      return answer.statusCode
    }
    expect(await statusOf(send('GET', ''))).toBe(400)
    expect([200, 404]).toContain(await statusOf(send('HEAD', `?infohash=${infohash()}`)))
    expect(engine.requestCount).toBe(0)
  })
})
