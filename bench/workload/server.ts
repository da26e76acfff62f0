/**
 * A process that answers as an orchestrator of 2025-10 with 100 engines, each answer after 5 ms. Sends its port to the parent process, and for each message
 * what it has counted.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const ENGINES = 100
const FIRST_PORT = 19_000
const DELAY_MS = 5

/** What the server has counted. */
export interface Counts {
  readonly requests: number
  /** The largest number of streams that one engine had at any time. */
  readonly fullest: number
}

const streams = Array.from({ length: ENGINES }, () => new Set<string>())
const counts = { requests: 0, fullest: 0 }

function listedEngine(ids: ReadonlySet<string>, index: number): object {
  const name = `engine-${index}`
  return { container_id: name, container_name: name, host: '127.0.0.1', port: FIRST_PORT + index, streams: [...ids] }
}

function listedStreams(engine: string): object[] {
  const ids = streams[Number(engine.split('-')[1])] ?? []
  return [...ids].map((id) => ({ id, key_type: 'infohash', key: id, container_id: engine, status: 'started' }))
}

function start(body: string): object {
  const { content_id: id, engine } = JSON.parse(body) as { content_id: string; engine: { port: number } }
  const index = engine.port - FIRST_PORT
  const ids = streams[index] ?? new Set()
  ids.add(id)
  counts.fullest = Math.max(counts.fullest, ids.size)
  return { id, container_id: `engine-${index}`, started_at: '2026-01-01T00:00:00Z' }
}

function end(body: string): object {
  const { content_id: id } = JSON.parse(body) as { content_id: string }
  for (const ids of streams) ids.delete(id)
  return { updated: true, stream: { id } }
}

function answer(url: URL, body: string): unknown {
  if (url.pathname.endsWith('/stream_started')) return start(body)
  if (url.pathname.endsWith('/stream_ended')) return end(body)
  return url.pathname.endsWith('/engines') ? streams.map(listedEngine) : listedStreams(url.searchParams.get('container_id') ?? '')
}

const server = createServer((request, response) => {
  counts.requests += 1
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    setTimeout(() => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(answer(new URL(request.url ?? '', 'http://localhost'), Buffer.concat(chunks).toString())))
    }, DELAY_MS)
  })
})

server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
process.on('message', () => process.send?.(counts))
process.on('disconnect', () => process.exit())
