import { randomUUID } from 'node:crypto'
import { EngineError, requestEngine } from './engine-request.ts'
import type { HlsFile } from './hls-file.ts'
import { HlsFiles } from './hls-files.ts'
import type { Medium, PlayParts, Shared } from './play.ts'
import { openPlayback, readText, type Session } from './playback.ts'
import { type FileKind, type Playlist, parsePlaylist } from './playlist.ts'

/** Maximum length of a playlist; a recording of 10 hours has about half of it. */
export const MAX_PLAYLIST_LENGTH = 1024 * 1024
/** How many names a session keeps. The oldest one is forgotten first. */
const MAX_NAMES = 10_000
/** Players reject segments without a known extension. */
const EXTENSION = /\.(?:ts|m4s|mp4|m4a|m4v|cmfv|cmfa|aac|ac3|ec3|mp3|vtt|webvtt|key)$/
/** Name of the playlist that the engine names in its session. */
export const MAIN = ''

/** HLS: a playlist that players request again and again, and its segments. */
export const HLS: Medium<HlsPlayback> = {
  path: '/ace/manifest.m3u8',
  variant: 'hls',
  async connect(session, parts, signal) {
    const playback = new HlsPlayback(session, parts)
    // An engine may open a session and have no playlist.
    const abort = (): void => playback.close(new EngineError('no longer wanted'))
    signal.addEventListener('abort', abort, { once: true })
    await playback.playlist(MAIN).finally(() => signal.removeEventListener('abort', abort))
    return playback
  },
}

/** A request for a playlist, and how long its answer is recent. */
interface PlaylistRequest {
  readonly answer: Promise<Playlist>
  recentUntil: number
}

/**
 * The HLS video of one session, for any number of viewers. Viewers get names instead of URLs: a name stands for a URL that this session's
 * playlists have named, so nobody can request another one.
 */
export class HlsPlayback implements Shared {
  readonly session: Session
  readonly #parts: PlayParts
  readonly #over = new AbortController()
  readonly #prefix = randomUUID().slice(0, 8)
  #namedCount = 0
  readonly #names = new Map<string, string>()
  readonly #files = new Map<string, URL>()
  readonly #playlists = new Map<string, URL>()
  /** The last request for each playlist. */
  readonly #requests = new Map<string, PlaylistRequest>()
  /** The end of each playlist, and since when it has not changed. */
  readonly #ends = new Map<string, { end: number; unchangedSince: number | undefined }>()
  readonly #kept = new HlsFiles()

  constructor(session: Session, parts: PlayParts) {
    this.session = session
    this.#parts = parts
    this.#playlists.set(MAIN, session.playbackUrl)
  }

  get isOver(): boolean {
    return this.#over.signal.aborted
  }

  /**
   * Returns a playlist of the engine that is at most `playlistAgeMs` old. Viewers share the request for it.
   *
   * @throws {@link EngineError} if the engine fails, or adds no segment for `idleTimeoutMs`; `ContentError` if it sends no playlist
   */
  playlist(name: string): Promise<Playlist> {
    const last = this.#requests.get(name)
    if (last !== undefined && performance.now() < last.recentUntil) return last.answer
    const request: PlaylistRequest = { answer: this.#load(name), recentUntil: Number.POSITIVE_INFINITY }
    this.#requests.set(name, request)
    const keepFor = (ms: number): void => {
      request.recentUntil = performance.now() + ms
    }
    request.answer.then(
      () => keepFor(this.#parts.playlistAgeMs),
      () => keepFor(0),
    )
    return request.answer
  }

  /** Whether a playlist of this session has named this playlist. */
  hasPlaylist(name: string): boolean {
    return this.#playlists.has(name)
  }

  /** Whether a playlist of this session has named this file. */
  hasFile(name: string): boolean {
    return this.#files.has(name)
  }

  /**
   * Returns a file that a playlist of this session has named, or `undefined`. Several viewers share it.
   *
   * @throws {@link BusyError} if too many different files are sent at this moment
   */
  file(name: string): HlsFile | undefined {
    const url = this.#files.get(name)
    if (url === undefined || this.isOver) return undefined
    return this.#kept.get(name, (signal) => openPlayback({ ...this.session, playbackUrl: url }, { ...this.#parts, signal }))
  }

  close(failure: EngineError = new EngineError('the stream has ended', { reason: 'engine_lost' })): void {
    this.#over.abort(failure)
    this.#kept.close(failure)
  }

  async #load(name: string): Promise<Playlist> {
    const { session } = this
    const url = this.#playlists.get(name) ?? session.playbackUrl
    const redirectHosts = [session.playbackUrl.host, session.engineHost]
    const options = { timeoutMs: this.#parts.headerTimeoutMs, signal: this.#over.signal, redirectHosts }
    const playlist = await requestEngine(url, options, async (answer, base) => {
      const text = await readText(answer, MAX_PLAYLIST_LENGTH)
      let nested = 0
      return parsePlaylist(text, (uri, kind) => this.#nameOf(uri, { base, kind, position: kind === 'playlist' ? nested++ : 0 }))
    })
    if (playlist.isMaster && name !== MAIN) throw new EngineError('a nested playlist of the engine names further playlists')
    this.#checkProgress(name, playlist)
    return playlist
  }

  /** @throws {@link EngineError} if the URI leads to another host */
  #nameOf(uri: string, { base, kind, position }: { base: URL; kind: FileKind; position: number }): string {
    const url = URL.parse(uri, base.href)
    const { session } = this
    if (url === null || !/^https?:$/.test(url.protocol) || ![session.playbackUrl.host, session.engineHost].includes(url.host)) {
      throw new EngineError('the playlist of the engine names a file of another host, which is not requested')
    }
    if (kind === 'playlist') {
      // The position, because a session on another engine has the same playlists at other URLs.
      const name = `${position}.m3u8`
      this.#playlists.set(name, url)
      return name
    }
    const known = this.#names.get(url.href)
    const name = known ?? `${this.#prefix}-${this.#namedCount++}${EXTENSION.exec(url.pathname)?.[0] ?? ''}`
    // The newest names come last.
    if (known !== undefined) this.#forget(url.href, known)
    this.#names.set(url.href, name)
    this.#files.set(name, url)
    const [oldest] = this.#names
    if (this.#names.size > MAX_NAMES && oldest !== undefined) this.#forget(...oldest)
    return name
  }

  #forget(href: string, name: string): void {
    this.#names.delete(href)
    this.#files.delete(name)
  }

  /** Detects an engine that responds, but adds nothing to its playlist. */
  #checkProgress(name: string, { isMaster, isComplete, sequence, entries }: Playlist): void {
    if (isMaster || isComplete) return
    const end = sequence + entries.length
    const last = this.#ends.get(name)
    const now = performance.now()
    if (last === undefined || last.end !== end) return void this.#ends.set(name, { end, unchangedSince: undefined })
    // Count from the first request that found nothing new. Before it nobody knows.
    last.unchangedSince ??= now
    const { idleTimeoutMs } = this.#parts
    if (now - last.unchangedSince > idleTimeoutMs) throw new EngineError(`the engine added no segment for ${idleTimeoutMs} ms`)
  }
}
