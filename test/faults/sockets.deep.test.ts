import { once } from 'node:events'
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { OrchestratorClient, OrchestratorError, type StreamHandle } from 'acestream-orchestrator-client'
import { FakeOrchestrator, GENERATIONS, type Generation } from 'acestream-orchestrator-client/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { HELD_MS, holdTimers } from '../support/held-timers.ts'
import { failureOf, playback } from '../support/setup.ts'

const KEY = 'a-secret-of-this-test'
const ENGINE_HOST = 'engine.invalid'

const unhandled: unknown[] = []
const listener = (reason: unknown): void => void unhandled.push(reason)
beforeEach(() => void process.on('unhandledRejection', listener))

interface Listening {
  url: string
  port: number
  sockets: Set<Socket>
  closed: () => Promise<void>
}

const listening: Server[] = []

async function listen(answer: RequestListener): Promise<Listening> {
  const server = createServer(answer)
  const sockets = new Set<Socket>()
  const underWay = new Set<ServerResponse>()
  server.on('request', (_, response) => {
    underWay.add(response)
    response.once('close', () => underWay.delete(response))
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  listening.push(server)
  const { port } = server.address() as AddressInfo
  /** Resolves when no connection is in use any more: an exchange that was broken off has closed its own. Idle ones may be kept. */
  const closed = async (): Promise<void> => {
    await Promise.all([...underWay].map((response) => once(response, 'close')))
    server.close()
    server.closeAllConnections()
    await Promise.all([...sockets].map((socket) => once(socket, 'close')))
  }
  return { url: `http://127.0.0.1:${port}`, port, sockets, closed }
}

afterEach(async () => {
  for (const server of listening.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
  process.off('unhandledRejection', listener)
  expect(unhandled.splice(0)).toEqual([])
})

/*
 * All kinds of faults of the fake run on msw, see matrix-on-msw.test.ts. Here is what msw cannot express, because it has no sockets:
 * - whether a connection is closed or reused after a fault;
 * - a server that nobody listens for, refused by the operating system itself;
 * - a body that arrives slowly, or is cut off, in packets of its own, and 16 MiB against the pressure of a slow reader.
 */

/** What goes wrong with the requests to one route. */
type Mishap = (
  response: ServerResponse,
  /** The answer of the orchestrator, had nothing gone wrong. */
  answer: { status: number; body: string },
  /** Where a redirect leads. */
  elsewhere: string,
  /** Ends the time of every request that is under way. */
  timeOut: () => void,
) => void

const flood: Mishap = (response) => {
  const chunk = Buffer.alloc(256 * 1_024, 32)
  let left = 16 * 1_024 * 1_024
  const write = (): void => {
    while (left > 0 && !response.destroyed) {
      left -= chunk.length
      if (!response.write(chunk)) return void response.once('drain', write)
    }
    response.end()
  }
  write()
}

/** Bytes that trickle before the time-out comes. */
const TIME_OUT_AFTER = 10

/** The bytes come one by one and never end; the time-out comes among them. */
const trickle: Mishap = (response, { status, body }, _, timeOut) => {
  response.writeHead(status, { 'content-type': 'application/json' })
  let at = 0
  const timer = setInterval(() => {
    response.write(body[at++] ?? ' ')
    if (at % TIME_OUT_AFTER === 0) timeOut()
  }, 1)
  response.once('close', () => clearInterval(timer))
}

const MISHAPS: Readonly<Record<string, Mishap>> = {
  'a reset before the answer': (response) => void response.socket?.resetAndDestroy(),
  'a reset in the middle of the body': (response, { status, body }) => {
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': `${body.length + 10}` })
    response.write(body.slice(0, body.length / 2), () => setImmediate(() => response.socket?.resetAndDestroy()))
  },
  'a body that trickles for longer than the time-out': trickle,
  'a body of 16 MiB': flood,
  'a redirect to another host': (response, _, elsewhere) => void response.writeHead(307, { location: elsewhere }).end(),
  'truncated JSON': (response, { status, body }) => void response.writeHead(status).end(body.slice(0, body.length / 2)),
  'an empty body': (response, { status }) => void response.writeHead(status).end(),
  HTML: (response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html><h1>Welcome</h1></html>'),
}

const ROUTES = {
  'GET /engines': 'listing engines',
  'GET /streams': 'listing streams',
  'POST /events/stream_started': 'a start',
  'POST /events/stream_ended': 'an end',
  'POST /provision/acestream': 'a request for an engine',
  'GET /orchestrator/status': 'the status',
} as const
type Route = keyof typeof ROUTES

/** An orchestrator behind a reverse proxy that has a mishap with each request to `route`, while `isBad`. */
async function world(generation: Generation, route: Route, mishap: Mishap) {
  const fake = new FakeOrchestrator({ generation, engines: [{ host: ENGINE_HOST, port: 6_878 }], apiKey: KEY, maxReplicas: 5 })
  const heard: string[] = []
  const other = await listen((request, response) => {
    heard.push(JSON.stringify([request.method, request.url, request.headers]))
    response.end('[]')
  })
  const elsewhere = `http://localhost:${other.port}/engines`
  const state = { isBad: false, hits: 0 }
  const timeOuts = holdTimers()
  const paths = { 'POST /provision/acestream': '/provision' } as Partial<Record<Route, string>>
  const [method, path = ''] = route.split(' ')
  const proxy = await listen((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', async () => {
      const { authorization, 'content-type': contentType } = request.headers
      const { method: asked = 'GET', url = '/' } = request
      const answer = await fake.handle({ method: asked, path: url, authorization, contentType, body: Buffer.concat(chunks).toString() })
      const isHit = state.isBad && asked === method && url.includes(paths[route] ?? path) && !url.includes('/status/')
      if (isHit) {
        state.hits += 1
        mishap(response, answer, elsewhere, () => timeOuts.fire())
      } else {
        response.writeHead(answer.status, answer.headers).end(answer.body)
      }
    })
    request.on('error', () => {})
  })
  return { fake, heard, other, proxy, state }
}

function connect(baseUrl: string, provisionTimeoutMs = HELD_MS): OrchestratorClient {
  return new OrchestratorClient({
    baseUrl,
    apiKey: KEY,
    watch: false,
    cacheTtlMs: 0,
    staleIfErrorMs: 60_000,
    requestTimeoutMs: HELD_MS,
    provisionTimeoutMs,
    healthIntervalMs: 0,
    sweepIntervalMs: 0,
    reconcileIntervalMs: 0,
    retry: { attempts: 2, baseDelayMs: 1, maxDelayMs: 20 },
    circuitBreaker: { failureThreshold: 1_000 },
  })
}

/** Makes the call that asks for `route`, once what it needs is there; `begin` is called before it. Answers how it came out. */
async function call(client: OrchestratorClient, route: Route, begin: () => void): Promise<unknown> {
  let stream: StreamHandle | undefined
  const lease = route.startsWith('POST /events') ? await client.acquireEngine() : undefined
  if (route === 'POST /events/stream_ended') stream = await lease?.startStream(playback())
  else await client.listStreams() // which dialect it is has been found out
  begin()
  const calls: Record<Route, () => Promise<unknown> | undefined> = {
    'GET /engines': () => client.listEngines({ fresh: true }),
    'GET /streams': () => client.listStreams(),
    'POST /events/stream_started': () => lease?.startStream(playback()),
    'POST /events/stream_ended': () => Promise.race([stream?.end(), endRetried(client, stream?.id)]),
    'POST /provision/acestream': () => client.provisionEngine(),
    'GET /orchestrator/status': () => client.checkHealth(),
  }
  return calls[route]()?.catch((error: unknown) => error)
}

/** Resolves when the end of this stream has failed and is to be sent again. */
function endRetried(client: OrchestratorClient, id: string | undefined): Promise<void> {
  return new Promise((resolve) => {
    client.on('delivery:retry', ({ streamId, event }) => {
      if (streamId === id && event === 'ended') resolve()
    })
  })
}

/** Everything that an error tells, its causes included. */
function telling(value: unknown): string {
  const told: unknown[] = []
  for (let next = value; next instanceof Error; next = next.cause) told.push(next.message, next.stack, JSON.stringify(next))
  return told.join('\n')
}

const isTyped = (outcome: unknown): boolean => !(outcome instanceof Error) || outcome instanceof OrchestratorError

describe.each(Object.entries(MISHAPS))('over a real socket, %s', (name, mishap) => {
  // Which of the generations is asked matters little to a socket; each meets every mishap.
  it.each(
    Object.entries(ROUTES).map(([route, what], index) => [what, route as Route, GENERATIONS[index % GENERATIONS.length] ?? 'v1'] as const),
  )('meeting %s: an answer or a typed error, the key stays here, no connection stays open', async (_, route, generation) => {
    const { fake, heard, other, proxy, state } = await world(generation, route, mishap)
    // Where the answer of a provision request is lost, the client looks for the engine until this time is over.
    const client = connect(proxy.url, route === 'POST /provision/acestream' ? 1_500 : HELD_MS)
    const outcome = await call(client, route, () => {
      state.isBad = true
    })
    expect(state.hits).toBeGreaterThan(0)
    expect(isTyped(outcome)).toBe(true)
    expect(telling(outcome)).not.toContain(KEY)
    if (route === 'GET /streams' || (route === 'GET /orchestrator/status' && name !== 'HTML'))
      expect(outcome).toBeInstanceOf(OrchestratorError)
    expect([heard, other.sockets.size]).toEqual([[], 0])
    // What broke is no reason not to answer the next, nor to forget what was to be told.
    state.isBad = false
    expect((await client.listEngines({ fresh: true })).length).toBeGreaterThan(0)
    await client.flush()
    const { undelivered } = await client.close()
    expect([undelivered, fake.liveStreamIds()]).toEqual([[], []])
    await proxy.closed()
    expect(proxy.sockets.size).toBe(0)
  })
})

describe('over a real socket, a refused connection', () => {
  it.each(Object.entries(ROUTES))('by %s: %s is an answer or a typed error', async (route) => {
    const { proxy, state, fake } = await world('2025-10', route as Route, () => {})
    const client = connect(proxy.url)
    const outcome = await call(client, route as Route, () => {
      state.isBad = true
      for (const server of listening) {
        server.closeAllConnections()
        server.close()
      }
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect(isTyped(outcome)).toBe(true)
    expect(telling(outcome)).not.toContain(KEY)
    if (route === 'GET /streams') expect(outcome).toMatchObject({ code: 'CONNECTION' })
    expect(await failureOf(client.listStreams())).toMatchObject({ code: 'CONNECTION', maybeProcessed: false })
    const live = fake.liveStreamIds()
    const { undelivered } = await client.close({ timeoutMs: 50 })
    // A connection may have been reset in place of refused: then nobody knows whether the start came through.
    expect(undelivered.map(({ streamId }) => streamId)).toEqual(expect.arrayContaining(live))
    expect(proxy.sockets.size).toBe(0)
  })
})
