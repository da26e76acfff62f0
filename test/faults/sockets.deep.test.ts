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
  const openResponses = new Set<ServerResponse>()
  server.on('request', (_, response) => {
    openResponses.add(response)
    response.once('close', () => openResponses.delete(response))
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  listening.push(server)
  const { port } = server.address() as AddressInfo
  /** Waits until no exchange is open, then closes all connections. A client that aborts an exchange closes its connection. */
  const closed = async (): Promise<void> => {
    await Promise.all([...openResponses].map((response) => once(response, 'close')))
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
 * matrix-on-msw.test.ts runs all faults of the fake on msw. These tests cover what msw cannot express, because it has no sockets:
 * - whether a connection is closed or reused after a fault;
 * - a port without a server, where the operating system refuses the connection;
 * - a body that arrives slowly or is cut off between packets, and 16 MiB with the backpressure of a slow reader.
 */

/** Answers a request in a faulty way. */
type SocketFault = (
  response: ServerResponse,
  /** The answer that the orchestrator would give without the fault. */
  answer: { status: number; body: string },
  /** The target of a redirect. */
  elsewhere: string,
  /** Lets every open request time out. */
  timeOut: () => void,
) => void

const flood: SocketFault = (response) => {
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

/** Count of bytes that are sent before the time-out. */
const BYTES_BEFORE_TIME_OUT = 10

/** Sends one byte at a time and never ends the body, so the client times out while it reads. */
const trickle: SocketFault = (response, { status, body }, _, timeOut) => {
  response.writeHead(status, { 'content-type': 'application/json' })
  let at = 0
  const timer = setInterval(() => {
    response.write(body[at++] ?? ' ')
    if (at % BYTES_BEFORE_TIME_OUT === 0) timeOut()
  }, 1)
  response.once('close', () => clearInterval(timer))
}

const SOCKET_FAULTS: Readonly<Record<string, SocketFault>> = {
  'a reset before the answer': (response) => void response.socket?.resetAndDestroy(),
  'a reset in the middle of the body': (response, { status, body }) => {
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': `${body.length + 10}` })
    response.write(body.slice(0, body.length / 2), () => setImmediate(() => response.socket?.resetAndDestroy()))
  },
  'a body that arrives slowly until the time-out': trickle,
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
  'GET /orchestrator/status': 'a health check',
} as const
type Route = keyof typeof ROUTES

/** An orchestrator behind a reverse proxy. The proxy applies the fault to each request to `route` while `isFaulty`. */
async function world(generation: Generation, route: Route, fault: SocketFault) {
  const fake = new FakeOrchestrator({ generation, engines: [{ host: ENGINE_HOST, port: 6_878 }], apiKey: KEY, maxReplicas: 5 })
  const requestsElsewhere: string[] = []
  const other = await listen((request, response) => {
    requestsElsewhere.push(JSON.stringify([request.method, request.url, request.headers]))
    response.end('[]')
  })
  const elsewhere = `http://localhost:${other.port}/engines`
  const state = { isFaulty: false, hits: 0 }
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
      const isHit = state.isFaulty && asked === method && url.includes(paths[route] ?? path) && !url.includes('/status/')
      if (isHit) {
        state.hits += 1
        fault(response, answer, elsewhere, () => timeOuts.fire())
      } else {
        response.writeHead(answer.status, answer.headers).end(answer.body)
      }
    })
    request.on('error', () => {})
  })
  return { fake, requestsElsewhere, other, proxy, state }
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

/** Prepares and makes the call that requests `route`. Calls `begin` just before it. Resolves to its value or its error. */
async function call(client: OrchestratorClient, route: Route, begin: () => void): Promise<unknown> {
  let stream: StreamHandle | undefined
  const lease = route.startsWith('POST /events') ? await client.acquireEngine() : undefined
  if (route === 'POST /events/stream_ended') stream = await lease?.startStream(playback())
  else await client.listStreams() // so that the dialect is detected already
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

/** Resolves when the end of this stream has failed once and will be retried. */
function endRetried(client: OrchestratorClient, id: string | undefined): Promise<void> {
  return new Promise((resolve) => {
    client.on('delivery:retry', ({ streamId, event }) => {
      if (streamId === id && event === 'ended') resolve()
    })
  })
}

/** All text of an error, its causes included. */
function textOf(value: unknown): string {
  const texts: unknown[] = []
  for (let next = value; next instanceof Error; next = next.cause) texts.push(next.message, next.stack, JSON.stringify(next))
  return texts.join('\n')
}

const isTyped = (outcome: unknown): boolean => !(outcome instanceof Error) || outcome instanceof OrchestratorError

describe.each(Object.entries(SOCKET_FAULTS))('over a real socket, %s', (name, fault) => {
  // The generations take turns, since sockets hardly depend on them.
  it.each(
    Object.entries(ROUTES).map(([route, what], index) => [what, route as Route, GENERATIONS[index % GENERATIONS.length] ?? 'v1'] as const),
  )(
    'during %s: the call gets a value or a typed error, the key goes to no other host, and no connection stays open',
    async (_, route, generation) => {
      const { fake, requestsElsewhere, other, proxy, state } = await world(generation, route, fault)
      // After a lost answer to a provision request, the client searches the list for the new engine until this time-out.
      const client = connect(proxy.url, route === 'POST /provision/acestream' ? 1_500 : HELD_MS)
      const outcome = await call(client, route, () => {
        state.isFaulty = true
      })
      expect(state.hits).toBeGreaterThan(0)
      expect(isTyped(outcome)).toBe(true)
      expect(textOf(outcome)).not.toContain(KEY)
      if (route === 'GET /streams' || (route === 'GET /orchestrator/status' && name !== 'HTML'))
        expect(outcome).toBeInstanceOf(OrchestratorError)
      expect([requestsElsewhere, other.sockets.size]).toEqual([[], 0])
      // After the fault, the next request is answered and all pending events are delivered.
      state.isFaulty = false
      expect((await client.listEngines({ fresh: true })).length).toBeGreaterThan(0)
      await client.flush()
      const { undelivered } = await client.close()
      expect([undelivered, fake.liveStreamIds()]).toEqual([[], []])
      await proxy.closed()
      expect(proxy.sockets.size).toBe(0)
    },
  )
})

describe('over a real socket, a refused connection', () => {
  it.each(Object.entries(ROUTES))('leads to a value or a typed error: %s (%s)', async (route) => {
    const { proxy, state, fake } = await world('2025-10', route as Route, () => {})
    const client = connect(proxy.url)
    const outcome = await call(client, route as Route, () => {
      state.isFaulty = true
      for (const server of listening) {
        server.closeAllConnections()
        server.close()
      }
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect(isTyped(outcome)).toBe(true)
    expect(textOf(outcome)).not.toContain(KEY)
    if (route === 'GET /streams') expect(outcome).toMatchObject({ code: 'CONNECTION' })
    expect(await failureOf(client.listStreams())).toMatchObject({ code: 'CONNECTION', maybeProcessed: false })
    const live = fake.liveStreamIds()
    const { undelivered } = await client.close({ timeoutMs: 50 })
    // A connection may be reset instead of refused. Then it is unknown whether the start was applied.
    expect(undelivered.map(({ streamId }) => streamId)).toEqual(expect.arrayContaining(live))
    expect(proxy.sockets.size).toBe(0)
  })
})
