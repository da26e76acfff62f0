import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { ContentError, type EngineAddress, type StreamStart } from 'acestream-orchestrator-client'
import { type Content, engineNameOf } from './content.ts'
import { EngineError, requestEngine } from './engine-request.ts'

/** A session on an engine. */
export interface Session {
  /** The session as the orchestrator gets it in the start event. */
  announced: StreamStart['session']
  playbackUrl: URL
  /** Host and port at which the proxy reaches the engine. */
  engineHost: string
}

/** A playback whose first bytes have arrived. */
export interface Playback {
  contentType: string
  /** The first bytes of the video. */
  first: Buffer
  /** The bytes after the first ones. Throws an {@link EngineError} if the connection breaks or the engine sends nothing for too long. */
  chunks: AsyncIterator<Buffer, void, undefined>
  /** Closes the connection. */
  close(): void
}

/** Time limits of an engine, milliseconds. */
export interface EngineTimes {
  headerTimeoutMs: number
  idleTimeoutMs: number
}

/** Maximum length of an engine's JSON response; real ones are much shorter. */
const RESPONSE_MAX_LENGTH = 65_536

/** Opens a new session. `path` names the kind of video: `/ace/getstream` for MPEG-TS, `/ace/manifest.m3u8` for HLS. */
export async function openSession(
  engine: EngineAddress,
  content: Content,
  { scheme, headerTimeoutMs, path = '/ace/getstream' }: { scheme: string; headerTimeoutMs: number; path?: string },
): Promise<Session> {
  // An IPv6 address may be listed with its brackets or without.
  const host = engine.host.includes(':') && !engine.host.startsWith('[') ? `[${engine.host}]` : engine.host
  const url = new URL(`${scheme}://${host}:${engine.port}${path}`)
  for (const [name, value] of new URLSearchParams(content.parameters)) url.searchParams.set(name, value)
  url.searchParams.set('format', 'json')
  url.searchParams.set(engineNameOf(content.keyType), content.key)
  // Requests with the same pid share a session, and the first one that is stopped ends it for all. Other proxies use this engine too.
  url.searchParams.set('pid', randomUUID())
  const text = await requestEngine(url, { timeoutMs: headerTimeoutMs }, (answer) => readText(answer))
  return toSession(text, url.host)
}

/** Connects to the video of a session and waits for the first bytes: an engine may send the head of a response and then hang. */
export async function openPlayback(session: Session, times: EngineTimes & { signal: AbortSignal }): Promise<Playback> {
  const { headerTimeoutMs, idleTimeoutMs, signal } = times
  const redirectHosts = [session.playbackUrl.host, session.engineHost]
  return requestEngine(session.playbackUrl, { timeoutMs: headerTimeoutMs, signal, redirectHosts }, async (answer) => {
    const source = answer[Symbol.asyncIterator]() as AsyncIterator<Buffer>
    const first = await source.next()
    if (first.done) throw new EngineError(`${session.playbackUrl.host} sent an empty stream`)
    const contentType = answer.headers['content-type'] ?? 'video/mp2t'
    // A generator that waits for the engine cannot be stopped, so close the connection.
    const close = (): void => void answer.destroy()
    return { contentType, first: first.value, chunks: readVideo(answer, source, idleTimeoutMs), close }
  })
}

/** Sends the stop command of a session. Best effort: never rejects, and takes at most `timeoutMs`. */
export async function stopSession({ announced }: Session, timeoutMs: number): Promise<void> {
  const url = new URL(announced.commandUrl)
  url.searchParams.set('method', 'stop')
  await requestEngine(url, { timeoutMs }, (answer) => readText(answer)).catch(() => undefined)
}

/** Reads the video. Measures silence only while the proxy waits for the engine, so that viewers who paused cause no time-out. */
async function* readVideo(
  answer: IncomingMessage,
  source: AsyncIterator<Buffer>,
  idleTimeoutMs: number,
): AsyncGenerator<Buffer, void, undefined> {
  const silent = new EngineError(`the engine sent nothing for ${idleTimeoutMs} ms`)
  try {
    for (;;) {
      const timer = setTimeout(() => answer.destroy(silent), idleTimeoutMs)
      const next = await source.next().finally(() => clearTimeout(timer))
      if (next.done) return
      yield next.value
    }
  } catch (error) {
    throw error instanceof EngineError ? error : new EngineError('the engine broke off the stream', { cause: error })
  } finally {
    answer.destroy()
  }
}

/** Reads a whole response. @throws {@link EngineError} if it is longer than `maxLength` characters */
export async function readText(answer: IncomingMessage, maxLength: number = RESPONSE_MAX_LENGTH): Promise<string> {
  let text = ''
  for await (const chunk of answer.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk
    if (text.length > maxLength) throw new EngineError(`the engine sent a response of more than ${maxLength} characters`)
  }
  return text
}

function toSession(text: string, engine: string): Session {
  let answer: { response?: Record<string, unknown> | null; error?: unknown }
  try {
    answer = JSON.parse(text)
  } catch (error) {
    throw new EngineError(`${engine} sent no JSON`, { cause: error })
  }
  // The engine works. Probably the content is dead, so that every other engine would refuse it too.
  if (answer?.error) throw new ContentError(`${engine} refused the content: ${String(answer.error)}`)
  const { playback_url, stat_url, command_url, playback_session_id, is_live } = answer?.response ?? {}
  const urls = [playback_url, stat_url, command_url].map((url) => (typeof url === 'string' ? URL.parse(url) : null))
  const [playbackUrl, statUrl, commandUrl] = urls
  if (!playbackUrl || !statUrl || !commandUrl || typeof playback_session_id !== 'string' || playback_session_id === '') {
    throw new EngineError(`${engine} sent no session: the URLs or the id are missing`)
  }
  const announced = {
    playbackSessionId: playback_session_id,
    statUrl: statUrl.href,
    commandUrl: commandUrl.href,
    isLive: Boolean(is_live ?? true),
  }
  return { announced, playbackUrl, engineHost: engine }
}
