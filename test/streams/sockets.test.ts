import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { OrchestratorClient } from 'acestream-orchestrator-client'
import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import { afterEach, expect, test } from 'vitest'
import { playback } from '../support/setup.ts'

const VIEWERS = 200
let server: Server | undefined
const sockets = new Set<Socket>()
afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  await new Promise((resolve) => server?.close(resolve))
})

/** Serves a fake orchestrator, and counts its sockets. */
async function serve(fake: FakeOrchestrator): Promise<{ baseUrl: string; mostSockets: () => number }> {
  let most = 0
  server = createServer(async (request, response) => {
    const { method, url = '/', headers } = request
    const authorization = headers.authorization ?? ''
    const answer = await fake.request({
      method: method === 'POST' ? 'POST' : 'GET',
      url: new URL(url, 'http://orchestrator.test'),
      headers: { authorization, 'content-type': 'application/json' },
      body: method === 'POST' ? await text(request) : undefined,
      timeoutMs: 60_000,
    })
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body)
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    most = Math.max(most, sockets.size)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve))
  return { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, mostSockets: () => most }
}

test('200 viewers that start and end their streams at once use at most 32 sockets', async () => {
  const fake = new FakeOrchestrator({ engines: 100 })
  const { baseUrl, mostSockets } = await serve(fake)
  const options = { apiKey: fake.apiKey, dialect: 'unversioned' as const, maxStreamsPerEngine: 2, watch: false }
  const client = new OrchestratorClient({ baseUrl, ...options, healthIntervalMs: 0, reconcileIntervalMs: 0, requestTimeoutMs: 60_000 })
  const ends = Array.from({ length: VIEWERS }, async (_, viewer) => {
    const lease = await client.acquireEngine()
    const stream = await lease.startStream(playback(`content-${viewer}`))
    return stream.end()
  })
  const outcomes = (await Promise.all(ends)).map(({ outcome }) => outcome)
  await client.close()
  expect(outcomes).toEqual(Array.from({ length: VIEWERS }, () => 'delivered'))
  expect(mostSockets()).toBeLessThanOrEqual(32)
})
