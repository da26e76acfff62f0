import { once } from 'node:events'
import http, { type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import * as streams from 'node:stream/promises'
import { promisify } from 'node:util'
import * as library from 'acestream-orchestrator-client'
import { describe, expect, it, onTestFinished } from 'vitest'
import { LATE_MS } from '../../examples/demo/fake-engine.ts'
import { answerTo, ask, type TwoEngines, twoEngines, watching } from '../examples/player.ts'
import { eventually, infohash } from '../examples/stage.ts'
import { holdTimers } from '../support/held-timers.ts'
import { type CodeBlock, fencedBlocks } from './code-blocks.ts'
import { read } from './pages.ts'
import { runBlock } from './run-block.ts'

function proxyBlock(): CodeBlock {
  const block = fencedBlocks({ path: 'README.md', text: read('README.md') }).find(({ code }) => code.includes('createServer('))
  if (block === undefined) throw new Error('the README has no proxy')
  return block
}

interface Running extends TwoEngines {
  url: string
  /** The options that the proxy gave to its client. */
  options: library.OrchestratorClientOptions[]
  /** The console of the proxy, and the errors that it logged. */
  console: { error(error: unknown): void }
  logged: unknown[]
  /** Resolves when the proxy has no viewer. */
  deserted(): Promise<void>
  /** Sends the signal that the proxy listens for, and resolves when it has asked to exit. */
  terminate(): Promise<void>
}

/** Runs the proxy of the README as it stands there, on a free port, with a fake orchestrator and two engines on real sockets. */
async function runProxy(): Promise<Running> {
  const world = await twoEngines()
  const options: library.OrchestratorClientOptions[] = []
  const logged: unknown[] = []
  const console = { error: (error: unknown) => void logged.push(error) }
  /** Takes the place of the client that the proxy makes: the same limit, on the fake orchestrator. */
  function OrchestratorClient(given: library.OrchestratorClientOptions): library.OrchestratorClient {
    options.push(given)
    return world.client
  }
  const ports: number[] = []
  let server: http.Server | undefined
  const createServer = (listener: RequestListener): { listen: (port: number) => void } => {
    const made = http.createServer(listener)
    server = made
    const listen = (port: number): void => {
      ports.push(port)
      made.listen(0, '127.0.0.1')
    }
    return { listen }
  }
  const exit = Promise.withResolvers<void>()
  const onSignal = new Map<string, () => void>()
  await runBlock(proxyBlock(), {
    modules: {
      'node:http': { createServer },
      'node:stream': { Readable },
      'node:stream/promises': streams,
      'acestream-orchestrator-client': { ...library, OrchestratorClient },
    },
    globals: { console, process: { once: (signal: string, listener: () => void) => onSignal.set(signal, listener), exit: exit.resolve } },
  })
  if (server === undefined) throw new Error('the proxy made no server')
  const running = server
  if (!running.listening) await once(running, 'listening')
  onTestFinished(() => {
    running.close()
    running.closeAllConnections()
  })
  expect(ports).toEqual([8080])
  const terminate = (): Promise<void> => {
    onSignal.get('SIGTERM')?.()
    return exit.promise
  }
  const count = promisify(running.getConnections.bind(running))
  const deserted = (): Promise<void> => eventually(async () => expect(await count()).toBe(0))
  const url = `http://127.0.0.1:${(running.address() as AddressInfo).port}/`
  return { ...world, options, console, logged, url, deserted, terminate }
}

/** The engines that are ejected from now on. */
function ejections(client: library.OrchestratorClient): unknown[] {
  const ejected: unknown[] = []
  client.on('engine:ejected', (event) => ejected.push(event))
  return ejected
}

describe('the proxy of the README', () => {
  it('has at most 40 lines of code, and shows openPlayback', () => {
    const lines = proxyBlock().code.split('\n')
    expect(lines.filter((line) => !/^\s*(\/\/.*|\/\*\*.*\*\/)?$/.test(line)).length).toBeLessThanOrEqual(40)
    expect(lines.join('\n')).toContain('function openPlayback(')
  })

  it('makes its client with the address of the orchestrator, the key, the limit and a logger', async () => {
    const { options, console: logger } = await runProxy()
    expect(options).toEqual([{ baseUrl: 'http://orchestrator:8000', apiKey: 'secret', maxStreamsPerEngine: 2, logger }])
  })

  it('plays to a viewer what the engine plays, and reports the stream with the session of the engine', async () => {
    const { fake, engine, url } = await runProxy()
    const { answer } = await watching(url)
    expect(answer.statusCode).toBe(200)
    expect(answer.headers['content-type']).toBe('video/mp2t')
    const [playbackSessionId] = engine.sessions
    expect(fake.streams).toMatchObject([{ keyType: 'infohash', key: infohash(), playbackSessionId, status: 'started' }])
  })

  it('plays on to a viewer who has watched for longer than an engine may take to open the video', async () => {
    const { fake, clock, url } = await runProxy()
    const { answer } = await watching(url)
    await clock.advance(20_000)
    await once(answer, 'data')
    await once(answer, 'data')
    expect(fake.liveStreamIds()).toHaveLength(1)
  })

  it('reports the end of the stream and stops the session when the viewer leaves', async () => {
    const { fake, client, engine, url, logged } = await runProxy()
    const { leave } = await watching(url)
    leave()
    await eventually(() => expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1, innocentsEnded: 0 }))
    expect(logged).toEqual([])
    await eventually(() => expect(engine).toMatchObject({ stopCommands: 1, sessions: new Set() }))
    await eventually(() => expect(client.metrics()).toMatchObject({ leases: { active: 0 }, streams: { live: 0 } }))
  })

  it('reports the end of the stream when the engine has played all of it', async () => {
    const { fake, client, engine, url } = await runProxy()
    const ejected = ejections(client)
    for (const number of [1, 2, 3]) {
      const { answer } = await watching(url, infohash(number))
      answer.resume()
      engine.finish()
      await once(answer, 'end')
      await eventually(() => expect(fake.counters.endsApplied).toBe(number))
    }
    expect(ejected).toEqual([])
  })

  it('closes the response of a viewer whose engine breaks off, and another engine plays when the player asks again', async () => {
    const { fake, engine, second, url } = await runProxy()
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
    const { client, clock, engine, fake, url } = await runProxy()
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

  it('plays from the same engine when a viewer leaves and comes back', async () => {
    const { fake, engine, second, url } = await runProxy()
    const { leave } = await watching(url)
    leave()
    await eventually(() => expect(fake.counters.endsApplied).toBe(1))
    await watching(url)
    expect([engine.opened, second.opened]).toEqual([2, 0])
  })

  it('answers 503 with Retry-After when all engines are full, and the next viewer gets the slot of one who leaves', async () => {
    const { client, clock, url } = await runProxy()
    const first = await watching(url, infohash(1))
    await watching(url, infohash(2))
    const refused = ask(url, infohash(3))
    const answer = once(refused, 'response') as Promise<[IncomingMessage]>
    await eventually(() => expect(client.metrics().leases.waiting).toBe(1))
    await clock.advance(30_000)
    const [{ statusCode, headers }] = await answer
    expect(statusCode).toBe(503)
    expect(Number(headers['retry-after'])).toBeGreaterThan(1)
    const waiting = ask(url, infohash(4))
    await eventually(() => expect(client.metrics().leases.waiting).toBe(1))
    first.leave()
    expect((await answerTo(waiting)).statusCode).toBe(200)
  })

  it.each(['refuses', 'errors', 'no-session'] as const)(
    'plays from another engine when one %s, and counts a failure of it',
    async (how) => {
      const { fake, client, engine, second, url } = await runProxy()
      const ejected = ejections(client)
      engine.misbehaviour = how
      for (const number of [1, 2, 3]) {
        const { answer, leave } = await watching(url, infohash(number))
        expect(answer.statusCode).toBe(200)
        leave()
        await eventually(() => expect(fake.counters.endsApplied).toBe(number))
      }
      expect(ejected).toMatchObject([{ containerId: fake.engines[0]?.containerId, failures: 3 }])
      expect([engine.requestCount, second.opened, second.sessions.size]).toEqual([3, 3, 0])
    },
  )

  it.each(['hangs', 'hangs-before-head'] as const)(
    'plays from another engine when one %s for 20 s, and leaves no session there',
    async (how) => {
      const { client, clock, engine, second, url } = await runProxy()
      engine.misbehaviour = how
      const request = ask(url)
      const answer = answerTo(request)
      await eventually(() => expect(how === 'hangs' ? engine.requestCount : engine.sessions.size).toBe(1))
      await clock.advance(20_000)
      expect((await answer).statusCode).toBe(200)
      expect(second.sessions.size).toBe(1)
      await eventually(() => expect(engine).toMatchObject({ stopCommands: how === 'hangs' ? 0 : 1, sessions: new Set() }))
      await clock.advance(5_000) // then an engine that still hangs gets its slot back
      await eventually(() => expect(client.metrics().leases.active).toBe(0))
    },
  )

  it('answers 503 with Retry-After when the engines fail, and leaves no session there', async () => {
    const { client, engine, second, url, logged } = await runProxy()
    engine.misbehaviour = second.misbehaviour = 'errors'
    const { statusCode, headers } = await answerTo(ask(url))
    expect([statusCode, headers['retry-after']]).toEqual([503, '5'])
    expect(logged).toMatchObject([{ code: 'PLAYBACK_FAILED' }])
    expect([engine.requestCount, second.requestCount]).toEqual([1, 1])
    expect(client.metrics()).toMatchObject({ leases: { active: 0 }, streams: { live: 0 } })
  })

  it('stops the session of a viewer who left while the engine opened it, and does not blame the engine', async () => {
    const { fake, client, engine, url, deserted } = await runProxy()
    const ejected = ejections(client)
    engine.misbehaviour = 'answers-late'
    const answers = holdTimers(LATE_MS)
    for (const number of [1, 2, 3]) {
      const request = ask(url, infohash(number))
      await eventually(() => expect(engine.requestCount).toBe(number))
      request.destroy()
      await deserted()
      answers.fire()
      await eventually(() => expect(engine).toMatchObject({ opened: number, stopCommands: number, sessions: new Set() }))
      await eventually(() => expect(client.metrics().leases.active).toBe(0))
    }
    await eventually(() => expect(client.metrics().leases.active).toBe(0))
    expect(ejected).toEqual([])
    expect(fake.counters.startsApplied).toBe(0)
  })

  it('cuts the viewer off when the engine is gone, even if its connection stays open', async () => {
    const { fake, client, clock, engine, url } = await runProxy()
    const { answer } = await watching(url)
    const closed = new Promise((resolve) => answer.once('close', resolve))
    const [containerId = ''] = fake.engines.map((engine) => engine.containerId)
    engine.die('falls-silent')
    fake.removeEngine(containerId)
    await clock.advance(60_000)
    await client.reconcile()
    await closed
    expect(answer.complete).toBe(false)
  })

  it('answers 400 to a viewer who names no content, and to a request that is no GET, without an engine', async () => {
    const { engine, url } = await runProxy()
    const head = () => http.request(`${url}?infohash=${infohash()}`, { agent: false, method: 'HEAD' }).end()
    for (const send of [() => http.get(`${url}?id=1`, { agent: false }), head]) {
      const answer = await answerTo(send())
      expect(answer.statusCode).toBe(400)
      answer.resume()
    }
    expect(engine.requestCount).toBe(0)
  })

  it('ends the streams that still play before it exits on SIGTERM', async () => {
    const { fake, url, terminate } = await runProxy()
    await watching(url)
    await terminate()
    expect(fake.liveStreamIds()).toEqual([])
    expect(fake.counters.endsApplied).toBe(1)
  })
})
