/**
 * A process that answers like an orchestrator of 2025-10 with one engine, with as little work as possible: only the client's cost is
 * measured. Sends its port to the parent process; sends the largest number of sockets that were open at once for each message.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const ENGINES = JSON.stringify([{ container_id: 'c1', container_name: 'c1', host: '127.0.0.1', port: 19_000, streams: [] }])
let open = 0
let most = 0

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    response.setHeader('content-type', 'application/json')
    response.end(answer(request.url ?? '', Buffer.concat(chunks).toString()))
  })
})

function answer(path: string, body: string): string {
  if (path.endsWith('/stream_started')) return JSON.stringify({ id: idIn(body), container_id: 'c1', started_at: '2026-01-01T00:00:00Z' })
  if (path.endsWith('/stream_ended')) return JSON.stringify({ updated: true, stream: { id: idIn(body) } })
  return path.endsWith('/engines') ? ENGINES : '[]'
}

function idIn(body: string): string {
  return (JSON.parse(body) as { content_id: string }).content_id
}

server.on('connection', (socket) => {
  open += 1
  most = Math.max(most, open)
  socket.on('close', () => {
    open -= 1
  })
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
process.on('message', () => process.send?.({ most }))
process.on('disconnect', () => process.exit())
