/** An engine that sends a video of a fixed rate, in which the time of each byte can be read. */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** 4 Mbit/s. */
export const BYTES_PER_S = 500_000
const PIECES_PER_S = 25
const PIECE_BYTES = BYTES_PER_S / PIECES_PER_S
const MS_PER_S = 1_000
/** A piece consists of its number, in one byte. */
const NUMBERS = 256

/** The engine, and the time at which it sent each byte. */
export interface VideoSource {
  readonly port: number
  /** Milliseconds since the piece was sent that ends with this byte. */
  ageMs(byte: number): number
  close(): void
}

/** Starts the engine. */
export async function videoSource(): Promise<VideoSource> {
  const players = new Set<ServerResponse>()
  const sentAt = new Float64Array(NUMBERS)
  const server = createServer((request, response) => {
    const base = `http://${request.headers.host}`
    const urls = { playback_url: `${base}/play`, stat_url: `${base}/stat`, command_url: `${base}/cmd` }
    if (request.url === '/play') players.add(response.writeHead(200, { 'content-type': 'video/mp2t' }))
    else response.end(JSON.stringify({ response: { ...urls, playback_session_id: 's' }, error: null }))
    response.on('close', () => players.delete(response))
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  const startedAt = performance.now()
  let pieces = 0
  const timer = setInterval(() => {
    // As many as are due: a busy process sends no less.
    for (; pieces < ((performance.now() - startedAt) / MS_PER_S) * PIECES_PER_S; pieces += 1) {
      sentAt[pieces % NUMBERS] = performance.now()
      const piece = Buffer.alloc(PIECE_BYTES, pieces % NUMBERS)
      for (const player of players) player.write(piece)
    }
  }, MS_PER_S / PIECES_PER_S)
  return {
    port: (server.address() as AddressInfo).port,
    ageMs: (byte) => performance.now() - (sentAt[byte] ?? 0),
    close() {
      clearInterval(timer)
      server.close()
      server.closeAllConnections()
    },
  }
}
