import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { EngineAddress, StreamStart } from 'acestream-orchestrator-client'
import type { Content } from './content.ts'
import { askEngine, ContentRefusedError, EngineError } from './engine-request.ts'

/** A session on an engine, as its answer describes it. */
export interface Session {
  /** What the orchestrator is told. */
  announced: StreamStart['session']
  playbackUrl: URL
}

/** A stream of which the first bytes have arrived. */
export interface Playback {
  contentType: string
  /** All of it, the first bytes included. Throws an {@link EngineError} where the engine breaks off or falls silent. */
  chunks: AsyncIterable<Buffer>
  /** Hangs up. */
  close(): void
}

export interface EngineTimes {
  headerTimeoutMs: number
  idleTimeoutMs: number
}

/** As much of an engine's answer as it ever needs, many times over. */
const ANSWER_MAX_BYTES = 65_536

/** Opens a session of its own for one viewer. */
export async function openSession(
  engine: EngineAddress,
  content: Content,
  { scheme, headerTimeoutMs }: { scheme: string; headerTimeoutMs: number },
): Promise<Session> {
  // An IPv6 address may be listed with its brackets or without.
  const host = engine.host.includes(':') && !engine.host.startsWith('[') ? `[${engine.host}]` : engine.host
  const url = new URL(`${scheme}://${host}:${engine.port}/ace/getstream`)
  url.searchParams.set('format', 'json')
  url.searchParams.set(content.keyType === 'content_id' ? 'id' : 'infohash', content.key)
  // Two viewers with one pid would share a session: the first to leave would end it for both.
  url.searchParams.set('pid', randomUUID())
  const text = await askEngine(url, { timeoutMs: headerTimeoutMs }, readText)
  return toSession(text, url.host)
}

/** Connects to a session's stream, and waits for its first bytes: an engine that sends only a head has not begun. */
export async function openPlayback(session: Session, times: EngineTimes & { signal: AbortSignal }): Promise<Playback> {
  const { headerTimeoutMs, idleTimeoutMs, signal } = times
  return askEngine(session.playbackUrl, { timeoutMs: headerTimeoutMs, signal }, async (answer) => {
    const source = answer[Symbol.asyncIterator]() as AsyncIterator<Buffer>
    const first = await source.next()
    if (first.done) throw new EngineError(`${session.playbackUrl.host} sent an empty stream`)
    const contentType = answer.headers['content-type'] ?? 'video/mp2t'
    // A generator that waits for the engine cannot be told to stop; the connection can be cut.
    const close = (): void => void answer.destroy()
    return { contentType, chunks: watched(answer, source, first.value, idleTimeoutMs), close }
  })
}

/** Tells the engine that the session is over. Best effort: never rejects, never takes longer than `timeoutMs`. */
export async function stopSession({ announced }: Session, timeoutMs: number): Promise<void> {
  const url = new URL(announced.commandUrl)
  url.searchParams.set('method', 'stop')
  await askEngine(url, { timeoutMs }, readText).catch(() => undefined)
}

/** Only the time in which more is asked of the engine counts: a viewer who paused is not the engine's fault. */
async function* watched(
  answer: IncomingMessage,
  source: AsyncIterator<Buffer>,
  first: Buffer,
  idleTimeoutMs: number,
): AsyncGenerator<Buffer> {
  const silent = new EngineError(`the engine sent nothing for ${idleTimeoutMs} ms`)
  try {
    yield first
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

async function readText(answer: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of answer.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk
    if (text.length > ANSWER_MAX_BYTES) throw new EngineError('the engine answered more than makes sense')
  }
  return text
}

function toSession(text: string, engine: string): Session {
  let answer: { response?: Record<string, unknown> | null; error?: unknown }
  try {
    answer = JSON.parse(text)
  } catch (error) {
    throw new EngineError(`${engine} answered no JSON`, { cause: error })
  }
  if (answer?.error) throw new ContentRefusedError(`${engine} answered: ${String(answer.error)}`)
  const { playback_url, stat_url, command_url, playback_session_id, is_live } = answer?.response ?? {}
  const urls = [playback_url, stat_url, command_url].map((url) => (typeof url === 'string' ? URL.parse(url) : null))
  const [playbackUrl, statUrl, commandUrl] = urls
  if (!playbackUrl || !statUrl || !commandUrl || typeof playback_session_id !== 'string' || playback_session_id === '') {
    throw new EngineError(`${engine} answered without the URLs or the id of a session`)
  }
  const announced = {
    playbackSessionId: playback_session_id,
    statUrl: statUrl.href,
    commandUrl: commandUrl.href,
    isLive: Boolean(is_live ?? true),
  }
  return { announced, playbackUrl }
}
