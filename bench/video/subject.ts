/**
 * A process that sends the video of one engine to many viewers: the reference proxy, or the least that any server must do: one `pipe` for each viewer.
 * Sends its {@link Start} to the parent process. For each message it sends what it cost since the last one.
 */
import { createServer, get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Sent when the process has no viewer yet. */
export interface Start {
  url: string
  /** Resident memory with all code, bytes. */
  idleBytes: number
}

/** What the process cost since the last message. */
export interface Cost {
  /** CPU time of all threads, microseconds. */
  cpuUs: number
  /** Largest resident memory, bytes. */
  memoryBytes: number
}

const SAMPLE_MS = 100

const [kind = '', port = ''] = process.argv.slice(2)
const engine = { host: '127.0.0.1', port: Number(port) }

/** Imports the proxy only here: the code counts as memory. */
async function proxyUrl(): Promise<string> {
  const [{ createProxy }, { singleEngine }] = await Promise.all([
    import('../../examples/proxy/server.ts'),
    import('../../examples/proxy/single-engine.ts'),
  ])
  const { url } = await createProxy({ source: singleEngine(engine) }).listen({ host: '127.0.0.1' })
  return `${url}/ace/getstream?id=a`
}

async function pipeUrl(): Promise<string> {
  const video = new Promise<IncomingMessage>((resolve) => void get({ ...engine, path: '/play', agent: false }, resolve))
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'video/mp2t' })
    void video.then((source) => source.setMaxListeners(0).pipe(response))
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

let cpu = process.cpuUsage()
let memoryBytes = 0
setInterval(() => {
  memoryBytes = Math.max(memoryBytes, process.memoryUsage.rss())
}, SAMPLE_MS)
process.on('message', () => {
  const { user, system } = process.cpuUsage(cpu)
  process.send?.({ cpuUs: user + system, memoryBytes } satisfies Cost)
  cpu = process.cpuUsage()
  memoryBytes = process.memoryUsage.rss()
})
process.on('disconnect', () => process.exit())
const url = await (kind === 'proxy' ? proxyUrl() : pipeUrl())
process.send?.({ url, idleBytes: process.memoryUsage.rss() } satisfies Start)
