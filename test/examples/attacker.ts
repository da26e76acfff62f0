import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import net, { type Socket } from 'node:net'
import { seededRandom } from 'acestream-orchestrator-client/testing'
import { onTestFinished } from 'vitest'

/** A host that a viewer names and that nobody may connect to. */
export const EVIL = 'evil.invalid'

const SEGMENTS = [
  'ace',
  'getstream',
  'content_id',
  'infohash',
  'status',
  'hls',
  'manifest.m3u8',
  'healthz',
  'metrics',
  'a',
  '..',
  '.',
  '',
  '%2e%2e',
  '%2E.',
  '%00',
  '%252e',
]
const ODD_SEGMENTS = [
  '%',
  '%zz',
  '%ff',
  'a%2fb',
  'a%5cb',
  '\\..',
  '@',
  `${EVIL}:80`,
  `http:%2f%2f${EVIL}`,
  'x'.repeat(300),
  '\u00e9',
  '"<>',
  '*',
  ';a=b',
]
const NAMES = [
  'id',
  'infohash',
  'url',
  'magnet',
  'alt',
  'pid',
  'sid',
  'format',
  'host',
  '_idx',
  'transcode_audio',
  '',
  '%00',
  'id[]',
  '__proto__',
]
const VALUES = [
  'a',
  '',
  'b'.repeat(40),
  `http://${EVIL}/a.torrent`,
  `//${EVIL}`,
  `magnet:?xt=urn:btih:a&tr=http://${EVIL}`,
  'file:///etc/passwd',
]
const ODD_VALUES = [
  '%00',
  '%0d%0aHost:%20x',
  `http://a@${EVIL}`,
  'http://[::1',
  '../../etc/passwd',
  '%25',
  '+',
  'y'.repeat(500),
  '{"a":1}',
  '&',
  '=',
  '#',
]
const METHODS = ['GET', 'GET', 'GET', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'TRACE', 'PROPFIND']
const HEADERS = [
  `X-Forwarded-Host: ${EVIL}`,
  `X-Forwarded-For: ${EVIL}`,
  `Host: ${EVIL}`,
  'Range: bytes=0-',
  'Expect: 100-continue',
  'Content-Length: 5',
]
const ODD_HEADERS = [
  'Connection: upgrade\r\nUpgrade: websocket',
  'Transfer-Encoding: chunked',
  'X-Request-Id: "}{',
  `Via: ${'z'.repeat(2_000)}`,
]

/** Number of connections that are open at once. */
const AT_ONCE = 8

export interface Attack {
  readonly count: number
  readonly seed: number
  /** Before the path of each request. */
  readonly basePath?: string
}

/** Sends `count` random requests, each on its own connection. Returns how often each status came; `none` if the viewer went away before one. */
export async function attack(url: string, { count, seed, basePath = '' }: Attack): Promise<Record<string, number>> {
  const random = seededRandom(seed)
  const counts: Record<string, number> = {}
  const requests = Array.from({ length: count }, () => randomRequest(random, basePath))
  const send = async (): Promise<void> => {
    for (let request = requests.pop(); request !== undefined; request = requests.pop()) {
      const status = await statusFor(url, request)
      counts[status] = (counts[status] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, send))
  return counts
}

interface RandomRequest {
  readonly text: string
  /** Whether the viewer closes the connection in the middle of its request. */
  readonly isCut: boolean
}

function randomRequest(random: () => number, basePath: string): RandomRequest {
  const pick = (one: readonly string[], odd: readonly string[] = []): string => {
    const from = odd.length > 0 && random() < 0.3 ? odd : one
    return from[Math.floor(random() * from.length)] ?? ''
  }
  const some = (most: number, make: () => string): string[] => Array.from({ length: Math.floor(random() * (most + 1)) }, make)
  // Half of the requests have a path that exists. Most of them could be served.
  const key = Math.floor(random() * 50)
  const names = [
    `/ace/getstream?id=${key}`,
    `/content_id/${key}`,
    `/infohash/${key}`,
    '/ace/getstream',
    `/ace/manifest.m3u8?id=${key}&alt=1`,
  ]
  const known = names[Math.floor(random() * 2 * names.length)]
  const path = known ?? `/${some(5, () => pick(SEGMENTS, ODD_SEGMENTS)).join('/')}`
  const query = some(3, () => `${pick(NAMES)}=${pick(VALUES, ODD_VALUES)}`).join('&')
  const origin = random() < 0.1 ? `http://${EVIL}` : ''
  const headers = some(2, () => `${pick(HEADERS, ODD_HEADERS)}\r\n`).join('')
  const text = `${pick(METHODS)} ${origin}${basePath}${path}${query === '' ? '' : `${path.includes('?') ? '&' : '?'}${query}`} HTTP/1.1\r\nHost: proxy\r\n${headers}\r\n`
  return random() < 0.1 ? { text: text.slice(0, Math.floor(random() * text.length)), isCut: true } : { text, isCut: false }
}

/** Sends a request, and closes the connection as soon as the status is there. */
function statusFor(url: string, { text, isCut }: RandomRequest): Promise<string> {
  const { hostname, port } = new URL(url)
  const socket = net.connect(Number(port), hostname)
  return new Promise((resolve) => {
    let head = ''
    let status: string | undefined
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      head += chunk
      status ??= /^HTTP\/1\.1 ([2-5]\d\d)/m.exec(head)?.[1]
      if (status !== undefined) socket.destroy()
    })
    socket.on('error', () => undefined)
    socket.once('close', () => resolve(status ?? 'none'))
    if (isCut) socket.write(text, () => socket.destroy())
    else socket.write(text)
  })
}

/** The connections that this process opens, until the test ends: `host:port`, or the name of a host that was looked up. */
export function recordConnections(): Set<string> {
  const seen = new Set<string>()
  const record = (message: unknown): void => {
    const { socket } = message as { socket: Socket }
    socket.on('connectionAttempt', (address: string, port: number) => void seen.add(`${address}:${port}`))
    socket.on('lookup', (_error, _address, _family, host: string) => void seen.add(host))
  }
  subscribe('net.client.socket', record)
  onTestFinished(() => void unsubscribe('net.client.socket', record))
  return seen
}
