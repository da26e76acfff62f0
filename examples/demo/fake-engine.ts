import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ContentSessions } from './content-sessions.ts'
import { FakeHls } from './fake-hls.ts'
import { nullPackets } from './null-packets.ts'

const CHUNK = nullPackets(50)
/** 9,400 bytes every 50 ms are 1.5 Mbit/s. */
const CHUNK_EVERY_MS = 50
/** Parameters that name a content. */
const CONTENT_KEYS = ['id', 'infohash', 'url', 'magnet']
/** Error of a content that cannot be played. */
const DEAD_CONTENT = 'failed to load content'
/** Delay of an engine with the misbehaviour `answers-late`. */
export const LATE_MS = 200

/** How an engine fails when a session is requested. */
export type Misbehaviour = 'answers-late' | 'hangs' | 'hangs-before-head' | 'hangs-after-head' | 'refuses' | 'errors' | 'no-session'

/** An AceStream engine that plays null packets to every viewer, and counts sessions. */
export class FakeEngine {
  readonly host = '127.0.0.1'
  readonly port: number
  /** Open sessions: from the response that opens one until its stop command or the end of its connection. */
  readonly sessions = new Set<string>()
  /** Highest number of sessions that were open at once. */
  peak = 0
  /** Number of requests for a session. */
  requestCount = 0
  /** Query of the last request for a session. */
  lastQuery = new URLSearchParams()
  /** Number of sessions that were opened. */
  opened = 0
  /** Number of stop commands. */
  stopCommands = 0
  misbehaviour: Misbehaviour | undefined
  /** Contents, by their id or infohash, that cannot be played. */
  readonly deadContents = new Set<string>()
  readonly hls = new FakeHls()
  readonly #base: string
  readonly #server: http.Server
  readonly #contentSessions: ContentSessions
  readonly #playing = new Map<string, ServerResponse>()
  #isDead = false

  private constructor(server: http.Server, contentSessions: ContentSessions) {
    this.#server = server
    this.#contentSessions = contentSessions
    this.port = (server.address() as AddressInfo).port
    this.#base = `http://${this.host}:${this.port}/ace`
    server.on('request', (request, response) => this.#answer(request, response))
  }

  /** Starts an engine on a free loopback port. It adds its sessions to `contentSessions`, which engines may share. */
  static async start(contentSessions = new ContentSessions()): Promise<FakeEngine> {
    const server = http.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new FakeEngine(server, contentSessions)
  }

  /** Closes the engine and all its connections. */
  async close(): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    if (this.#server.listening) await once(this.#server, 'close')
  }

  /**
   * Stops accepting connections, as when the container is stopped. `breaks-off`: closes the connections of viewers. `falls-silent`: keeps
   * them open and sends nothing, as when the network fails first.
   */
  die(how: 'breaks-off' | 'falls-silent'): void {
    this.#isDead = true
    for (const id of this.sessions) if (!this.#playing.has(id)) this.#forget(id)
    this.#server.close()
    if (how === 'breaks-off') this.#server.closeAllConnections()
    else this.fallSilent()
  }

  /** Closes the connections of viewers, as a crash does. */
  breakOff(): void {
    for (const response of this.#playing.values()) response.destroy()
  }

  /** Stops sending, and keeps the connections open. */
  fallSilent(): void {
    for (const response of this.#playing.values()) response.emit('silence')
  }

  /** Sends further data to every viewer. */
  send(data: Buffer): void {
    for (const response of this.#playing.values()) response.write(data)
  }

  /** Ends the playbacks properly, as at the end of a recording. */
  finish(): void {
    for (const response of this.#playing.values()) {
      response.emit('silence')
      response.end()
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    if (this.#isDead) return void response.destroy()
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://engine')
    const [, , kind, id = ''] = pathname.split('/')
    if (pathname === '/ace/getstream' || pathname === '/ace/manifest.m3u8') {
      this.#open(searchParams, response, pathname === '/ace/getstream' ? 'play' : 'm')
    } else if (kind === 'm' && this.sessions.has(id)) {
      this.hls.sendPlaylist(id, this.#base, response)
    } else if (kind === 'c' && this.sessions.has(id)) {
      this.hls.sendSegment(pathname, response)
    } else if (kind === 'play') {
      this.#play(id, response)
    } else if (kind === 'stat') {
      json(response, 200, { response: { status: this.sessions.has(id) ? 'dl' : 'idle' }, error: null })
    } else if (kind === 'cmd') {
      if (searchParams.get('method') === 'stop') this.#stop(id)
      json(response, 200, { response: 'ok', error: null })
    } else {
      json(response, 404, { response: null, error: 'not found' })
    }
  }

  #open(query: URLSearchParams, response: ServerResponse, kind: 'play' | 'm'): void {
    this.requestCount++
    this.lastQuery = query
    switch (this.misbehaviour) {
      case 'hangs':
        break
      case 'answers-late':
        setTimeout(() => this.#begin(query, response, kind), LATE_MS)
        break
      case 'refuses':
        response.destroy()
        break
      case 'errors':
        json(response, 500, { response: null, error: 'out of order' })
        break
      case 'no-session':
        json(response, 200, { response: null, error: DEAD_CONTENT })
        break
      default:
        this.#begin(query, response, kind)
    }
  }

  #begin(query: URLSearchParams, response: ServerResponse, kind: 'play' | 'm'): void {
    const keys = CONTENT_KEYS.filter((name) => query.has(name))
    const isComplete = query.get('format') === 'json' && query.has('pid') && keys.length === 1
    if (!isComplete || this.deadContents.has(query.get(keys[0] ?? '') ?? '')) {
      json(response, 200, { response: null, error: isComplete ? DEAD_CONTENT : 'missing format, pid or content' })
      return
    }
    const id = randomUUID()
    this.sessions.add(id)
    this.opened++
    this.peak = Math.max(this.peak, this.sessions.size)
    const [playback_url, stat_url, command_url] = [kind, 'stat', 'cmd'].map((path) => `${this.#base}/${path}/${id}`)
    const infohash = query.get('infohash') ?? ''
    this.#contentSessions.add(id, infohash)
    json(response, 200, { response: { playback_url, stat_url, command_url, playback_session_id: id, is_live: 1, infohash }, error: null })
  }

  #play(id: string, response: ServerResponse): void {
    if (!this.sessions.has(id)) {
      json(response, 404, { response: null, error: 'unknown session' })
      return
    }
    if (this.misbehaviour === 'hangs-before-head') return
    response.writeHead(200, { 'content-type': 'video/mp2t' })
    response.flushHeaders()
    this.#playing.set(id, response)
    response.once('close', () => this.#end(id))
    if (this.misbehaviour === 'hangs-after-head') return
    response.write(CHUNK)
    const timer = setInterval(() => {
      // Drop data for a slow viewer, as a live stream does.
      if (!response.writableNeedDrain) response.write(CHUNK)
    }, CHUNK_EVERY_MS)
    response.once('close', () => clearInterval(timer))
    response.once('silence', () => clearInterval(timer))
  }

  #stop(id: string): void {
    this.stopCommands++
    this.#end(id)
  }

  #end(id: string): void {
    this.#forget(id)
    this.#playing.get(id)?.destroy()
    this.#playing.delete(id)
  }

  #forget(id: string): void {
    this.sessions.delete(id)
    this.#contentSessions.delete(id)
  }
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
