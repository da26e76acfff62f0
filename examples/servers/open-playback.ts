import { once } from 'node:events'
import { Readable } from 'node:stream'
import type { Engine, OpenedPlayback } from 'acestream-orchestrator-client'
import type { Playback } from '../quick-start/watch.ts'

/** An engine's answer, as far as it is used here. */
interface EngineAnswer {
  response: Record<'playback_url' | 'stat_url' | 'command_url' | 'playback_session_id', string> | null
  error: string | null
}

/** Opens a session on an engine, and waits for the first bytes of its video. If that fails, the session is stopped before this rejects. */
export async function openPlayback({ host, port }: Engine, infohash: string, signal: AbortSignal): Promise<OpenedPlayback<Playback>> {
  // Sessions with the same pid are one session: the first viewer who leaves would end it for all.
  const query = new URLSearchParams({ format: 'json', infohash, pid: crypto.randomUUID() })
  // Without `signal`: the engine opens the session of an aborted request too, and nobody could stop it.
  const answer = await fetch(`http://${host}:${port}/ace/getstream?${query}`)
  if (!answer.ok) throw new Error(`The engine answered ${answer.status}`)
  const { response: opened, error } = (await answer.json()) as EngineAnswer
  if (!opened) throw new Error(`The engine opened no session: ${error}`)
  const stop = async (): Promise<void> => void (await fetch(`${opened.command_url}?method=stop`))
  try {
    const { ok, status, body } = await fetch(opened.playback_url, { signal })
    if (!ok || !body) throw new Error(`The engine answered ${status}`)
    // An engine may break off at any time. Without a listener, the error would end the process.
    const video = Readable.fromWeb(body).on('error', () => {})
    await once(video, 'readable', { signal })
    if (video.readableEnded) throw new Error('The engine sent an empty video')
    const session = { playbackSessionId: opened.playback_session_id, statUrl: opened.stat_url, commandUrl: opened.command_url }
    return { session, playback: { video, stop } }
  } catch (error) {
    await stop().catch(() => {})
    throw error
  }
}
