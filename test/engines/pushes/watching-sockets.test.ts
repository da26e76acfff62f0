import { type AddressInfo, connect, createServer } from 'node:net'
import { KyTransport, OrchestratorClient } from 'acestream-orchestrator-client'
import { createHandlers, FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import { setupServer } from 'msw/node'
import { expect, it, onTestFinished } from 'vitest'
import { A_DAY, run } from '../../client/own-process.ts'
import { listRequests, streamRequests } from '../../support/push-transport.ts'

/** Resolves when the next list arrives. */
const refreshed = (client: OrchestratorClient): Promise<unknown> =>
  new Promise((resolve) => client.once('engines:refreshed', (event) => resolve(event)))

async function acquireAndRelease(client: OrchestratorClient): Promise<void> {
  await (await client.acquireEngine()).release()
}

/** Relays connections to a local port. `streamClosed` resolves when the client has closed the connection of its event stream. */
async function relayTo(port: number): Promise<{ url: string; streamClosed: Promise<void> }> {
  const streamClosed = Promise.withResolvers<void>()
  const relay = createServer((socket) => {
    const upstream = connect(port, '127.0.0.1')
    socket.on('data', (chunk) => {
      if (String(chunk).includes('/events/stream ')) socket.once('close', () => streamClosed.resolve())
    })
    for (const end of [socket, upstream]) end.on('error', () => {})
    socket.pipe(upstream).pipe(socket)
    socket.once('close', () => upstream.destroy())
  })
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void relay.close())
  return { url: `http://127.0.0.1:${(relay.address() as AddressInfo).port}`, streamClosed: streamClosed.promise }
}

it('over real sockets a new engine is listed without a request, and close() ends the connection', async () => {
  const fake = new FakeOrchestrator({ generation: 'v1' })
  await using server = await fake.listen()
  const { url, streamClosed } = await relayTo(server.port)
  const client = new OrchestratorClient({ baseUrl: url, apiKey: fake.apiKey, cacheTtlMs: 0 })
  const first = refreshed(client)
  await acquireAndRelease(client)
  await first
  await refreshed(client) // the first push
  const added = fake.addEngine()
  await refreshed(client)
  expect((await client.listEngines()).map((engine) => engine.containerId)).toContain(added)
  expect([listRequests(fake), streamRequests(fake)]).toEqual([3, 1])
  let isClosed = false
  void streamClosed.then(() => (isClosed = true))
  await client.listEngines({ fresh: true }) // one more answer over the relay: it would show a connection that is already closed
  expect(isClosed).toBe(false)
  await client.close()
  await streamClosed
})

it('over real sockets the event stream is opened again after a restart of the orchestrator, and shows its new engines', async () => {
  const fake = new FakeOrchestrator({ generation: 'v1' })
  await using server = await fake.listen()
  await using client = new OrchestratorClient({ baseUrl: server.url, apiKey: fake.apiKey, random: () => 0 })
  await acquireAndRelease(client)
  await refreshed(client)
  const before = listRequests(fake)
  fake.restart()
  await refreshed(client)
  const listed = (await client.listEngines()).map((engine) => engine.containerId).sort()
  expect(listed).toEqual(fake.engines.map((engine) => engine.containerId).sort())
  expect([listRequests(fake), streamRequests(fake)]).toEqual([before, 2])
})

it('over the handlers of msw, lists are pushed too, for hosts that test their own code', async () => {
  const fake = new FakeOrchestrator({ generation: 'v1' })
  const server = setupServer(...createHandlers(fake))
  server.listen({ onUnhandledFrame: 'error' })
  onTestFinished(() => server.close())
  const client = new OrchestratorClient({ baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, transport: new KyTransport() })
  await acquireAndRelease(client)
  await refreshed(client)
  expect(streamRequests(fake)).toBe(1)
  await client.close()
})

it('[I8] an open event stream does not keep the process alive', async () => {
  const fake = new FakeOrchestrator({ generation: 'v1' })
  await using server = await fake.listen()
  const { exit, output } = await run(
    `
    import { OrchestratorClient } from 'acestream-orchestrator-client'
    const client = new OrchestratorClient({ baseUrl: process.argv[1], apiKey: process.argv[2], ...${JSON.stringify(A_DAY)} })
    let lists = 0
    const pushed = new Promise((resolve) => client.on('engines:refreshed', () => (lists += 1) === 3 && resolve()))
    const timer = setInterval(() => {}, 1_000) // keeps the process alive until the pushes have arrived
    await client.acquireEngine()
    await pushed
    clearInterval(timer)
  `,
    [server.url, fake.apiKey],
  )
  expect(exit, output).toBe(0)
  expect(streamRequests(fake)).toBe(1)
})
