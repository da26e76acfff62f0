import { once } from 'node:events'
import http, { type ClientRequest, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import * as streams from 'node:stream/promises'
import { promisify } from 'node:util'
import * as library from 'acestream-orchestrator-client'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { type FakeEngine, LATE_MS } from '../../examples/demo/fake-engine.ts'
import { eventually, infohash, startEngine } from '../examples/stage.ts'
import { holdTimers } from '../support/held-timers.ts'
import { type Setup, setup } from '../support/setup.ts'
import { type CodeBlock, fencedBlocks } from './code-blocks.ts'
import { read } from './pages.ts'
import { runBlock } from './run-block.ts'

function proxyBlock(): CodeBlock {
  const block = fencedBlocks({ path: 'README.md', text: read('README.md') }).find(({ code }) => code.includes('createServer('))
  if (block === undefined) throw new Error('the README has no proxy')
  return block
}

interface Running extends Setup {
  engine: FakeEngine
  url: string
  /** The options that the proxy gave to its client. */
  options: library.OrchestratorClientOptions[]
  /** Resolves when the proxy has no viewer. */
  deserted(): Promise<void>
  /** Sends the signal that the proxy listens for, and resolves when it has asked to exit. */
  terminate(): Promise<void>
}

/** Runs the proxy of the README as it stands there, on a free port, with a fake orchestrator and one engine on a real socket. */
async function runProxy(): Promise<Running> {
  const engine = await startEngine()
  const world = setup({ engines: [{ host: engine.host, port: engine.port }] })
  const options: library.OrchestratorClientOptions[] = []
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
      'node:stream/promises': streams,
      'acestream-orchestrator-client': { ...library, OrchestratorClient },
    },
    globals: { process: { once: (signal: string, listener: () => void) => onSignal.set(signal, listener), exit: exit.resolve } },
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
  return { ...world, engine, options, url, deserted, terminate }
}

/** Asks for a content. The connection is closed when the test is over. */
function ask(url: string, key = infohash()): ClientRequest {
  const request = http.get(`${url}?infohash=${key}`, { agent: false }).on('error', () => undefined)
  onTestFinished(() => void request.destroy())
  return request
}

async function answerTo(request: ClientRequest): Promise<IncomingMessage> {
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  answer.on('error', () => undefined)
  return answer
}

/** A viewer who has the first bytes. */
async function watching(url: string, key?: string): Promise<{ answer: IncomingMessage; leave: () => void }> {
  const request = ask(url, key)
  const answer = await answerTo(request)
  await once(answer, 'data')
  return { answer, leave: () => void request.destroy() }
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

  it('makes its client with the address of the orchestrator, the key and the limit', async () => {
    const { options } = await runProxy()
    expect(options).toEqual([{ baseUrl: 'http://orchestrator:8000', apiKey: 'secret', maxStreamsPerEngine: 2 }])
  })

  it('plays to a viewer what the engine plays, and reports the stream with the session of the engine', async () => {
    const { fake, engine, url } = await runProxy()
    const { answer } = await watching(url)
    expect(answer.statusCode).toBe(200)
    expect(answer.headers['content-type']).toBe('video/mp2t')
    const [playbackSessionId] = engine.sessions
    expect(fake.streams).toMatchObject([{ keyType: 'infohash', key: infohash(), playbackSessionId, status: 'started' }])
  })

  it('plays on to a viewer who has watched for longer than an engine may take to send video', async () => {
    const { fake, url } = await runProxy()
    const limits = holdTimers(15_000)
    const { answer } = await watching(url)
    expect(limits.armed).toBe(1)
    limits.fire()
    await once(answer, 'data')
    await once(answer, 'data')
    expect(fake.liveStreamIds()).toHaveLength(1)
  })

  it('reports the end of the stream and stops the session when the viewer leaves', async () => {
    const { fake, client, engine, url } = await runProxy()
    const { leave } = await watching(url)
    leave()
    await eventually(() => expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1, innocentsEnded: 0 }))
    await eventually(() => expect(engine).toMatchObject({ stopCommands: 1, sessions: new Set() }))
    await eventually(() => expect(client.metrics()).toMatchObject({ leases: { active: 0 }, streams: { live: 0 } }))
  })

  it('reports the end as finished when the engine has played all of it', async () => {
    const { fake, client, engine, url } = await runProxy()
    const reasons: unknown[] = []
    client.on('stream:ended', ({ reason }) => reasons.push(reason))
    const { answer } = await watching(url)
    answer.resume()
    engine.finish()
    await once(answer, 'end')
    await eventually(() => expect(fake.counters.endsApplied).toBe(1))
    expect(reasons).toEqual(['finished'])
  })

  it('answers 503 with Retry-After when all engines are full, and the next viewer gets the slot of one who leaves', async () => {
    const { fake, client, clock, url } = await runProxy()
    fake.setProvisioning({ refuse: 'vpn_disconnected', etaSeconds: 45 })
    const first = await watching(url, infohash(1))
    const refused = ask(url, infohash(2))
    const answer = once(refused, 'response') as Promise<[IncomingMessage]>
    await eventually(() => expect(client.metrics().leases.waiting).toBe(1))
    await clock.advance(30_000)
    const [{ statusCode, headers }] = await answer
    expect(statusCode).toBe(503)
    expect(Number(headers['retry-after'])).toBeGreaterThan(0)
    const waiting = ask(url, infohash(3))
    await eventually(() => expect(client.metrics().leases.waiting).toBe(1))
    first.leave()
    expect((await answerTo(waiting)).statusCode).toBe(200)
  })

  it.each(['refuses', 'errors', 'no-session'] as const)(
    'answers 502 when the engine %s, and counts a failure of that engine',
    async (how) => {
      const { fake, client, engine, url } = await runProxy()
      const ejected = ejections(client)
      engine.misbehaviour = how
      for (const number of [1, 2, 3]) {
        const { statusCode, headers } = await answerTo(ask(url, infohash(number)))
        expect([statusCode, headers['retry-after']]).toEqual([502, '5'])
      }
      expect(ejected).toMatchObject([{ containerId: fake.engines[0]?.containerId, failures: 3 }])
      expect(fake.counters.startsApplied).toBe(0)
      expect(client.metrics().leases.active).toBe(0)
    },
  )

  it('answers 502 when the engine opens no session within 15 s, and counts a failure of that engine', async () => {
    const { client, engine, url } = await runProxy()
    const ejected = ejections(client)
    engine.misbehaviour = 'hangs'
    for (const number of [1, 2, 3]) {
      const limit = new AbortController()
      const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValueOnce(limit.signal)
      const request = ask(url, infohash(number))
      await eventually(() => expect(engine.requestCount).toBe(number))
      expect(timeout).toHaveBeenLastCalledWith(15_000)
      limit.abort()
      expect((await answerTo(request)).statusCode).toBe(502)
    }
    expect(ejected).toHaveLength(1)
  })

  it('answers 502 when the engine sends no video within 15 s, counts a failure of that engine, and stops the session', async () => {
    const { client, engine, url } = await runProxy()
    const ejected = ejections(client)
    engine.misbehaviour = 'hangs-before-head'
    const limits = holdTimers(15_000)
    for (const number of [1, 2, 3]) {
      const request = ask(url, infohash(number))
      await eventually(() => expect(engine.opened).toBe(number))
      expect(limits.armed).toBe(number)
      limits.fire()
      expect((await answerTo(request)).statusCode).toBe(502)
      await eventually(() => expect(engine).toMatchObject({ stopCommands: number, sessions: new Set() }))
    }
    expect(ejected).toHaveLength(1)
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
    }
    await eventually(() => expect(client.metrics().leases.active).toBe(0))
    expect(ejected).toEqual([])
    expect(fake.counters.startsApplied).toBe(0)
  })

  it('cuts the viewer off when the orchestrator lost the stream', async () => {
    const { fake, client, clock, url } = await runProxy()
    const { answer } = await watching(url)
    const closed = new Promise((resolve) => answer.once('close', resolve))
    const [containerId = ''] = fake.engines.map((engine) => engine.containerId)
    fake.addEngine()
    fake.removeEngine(containerId)
    await clock.advance(60_000)
    await client.reconcile()
    await closed
    expect(answer.complete).toBe(false)
  })

  it('answers 400 to a viewer who names no content', async () => {
    const { url } = await runProxy()
    const answer = await answerTo(http.get(`${url}/?id=1`, { agent: false }))
    expect(answer.statusCode).toBe(400)
    answer.resume()
  })

  it('ends the streams that still play before it exits on SIGTERM', async () => {
    const { fake, url, terminate } = await runProxy()
    await watching(url)
    await terminate()
    expect(fake.liveStreamIds()).toEqual([])
    expect(fake.counters.endsApplied).toBe(1)
  })
})
