import type { Core } from '../core.ts'
import type { EngineEntry } from '../engine-entry.ts'
import { type FakeResponse, jsonResponse } from '../http.ts'
import type { StreamEntry } from '../stream-entry.ts'
import { expectMonitor, vanish } from '../vanish.ts'
import type { EndBody, StartBody } from './bodies.ts'
import { streamJson } from './wire.ts'

/** `POST /events/stream_started`. */
export function streamStarted(core: Core, body: StartBody): FakeResponse {
  const { book, settings, stamps } = core
  const engine = engineOf(core, body)
  // Hazard 7: the address of a start overwrites the listed one, its labels are merged into the engine's.
  engine.host = body.engine.host
  engine.port = body.engine.port
  Object.assign(engine.labels, body.labels)
  engine.lastSeen = stamps.next()
  engine.lastStreamUsage = stamps.next()
  engine.hasFigures = true
  const { stream, session } = body
  const id = body.labels['stream_id'] || `${stream.key}|${session.playback_session_id}`
  const init = {
    id,
    keyType: stream.key_type,
    key: stream.key,
    containerId: engine.containerId,
    playbackSessionId: session.playback_session_id,
    statUrl: session.stat_url,
    commandUrl: session.command_url,
    isLive: session.is_live !== 0,
    startedAt: stamps.next(),
    own: true,
  }
  const entry = book.start(init, engine.containerName, { by: 'request', requestedId: id })
  return jsonResponse(200, streamJson(settings.generation, entry))
}

/** The engine of a start: the one named, else the one at that address, else a new one that nobody started (hazard 8). */
function engineOf(core: Core, { container_id: containerId, engine: { host, port } }: StartBody): EngineEntry {
  const { book, settings } = core
  const listed = (containerId ? book.engines.get(containerId) : undefined) ?? book.engineAt(host, port)
  if (listed !== undefined) return listed
  const invented = core.inventEngine(containerId || undefined, host, port)
  if (settings.generation === '2025-10') expectMonitor(core)
  return invented
}

/** `POST /events/stream_ended`. */
export function streamEnded(core: Core, body: EndBody): FakeResponse {
  const { book, settings } = core
  const requestedId = body.stream_id ?? ''
  const named = requestedId === '' ? undefined : book.streams.get(requestedId)
  // Hazard 1: an id that is not known, or none, means the last live stream of that engine, or of any. A container id that
  // matches no engine fences it off, and one that comes with a known stream id is not looked at.
  const entry = named ?? book.lastLive(body.container_id || undefined)
  if (entry === undefined) {
    book.counters.endsMissed++
    return jsonResponse(200, { updated: false, stream: null })
  }
  if (named === undefined) book.counters.innocentsEnded++
  else if (named.endedAt === null) book.counters.endsApplied++
  else book.counters.repeatedEnds++
  endStream(core, entry, { by: 'request', requestedId })
  return jsonResponse(200, { updated: true, stream: streamJson(settings.generation, entry) })
}

/** Ends a stream as this generation does: 2025-10 goes on listing it, 2026-04 forgets it and all its namesakes (hazard 6). */
export function endStream(core: Core, entry: StreamEntry, cause: { by: 'request' | 'elsewhere'; requestedId?: string }): void {
  const { book, settings, stamps } = core
  const engine = book.engines.get(entry.containerId)
  if (settings.generation === '2025-10') {
    if (entry.endedAt === null) book.end(entry, stamps.next(), cause, true)
    else entry.endedAt = stamps.next() // a duplicate moves the end, and nothing else
  } else {
    const namesakes = book.namesakes(entry)
    book.end(entry, stamps.next(), cause, false)
    for (const namesake of namesakes) {
      book.end(namesake, stamps.next(), cause, false)
      if (cause.by === 'request') book.counters.namesakesEnded++
    }
  }
  if (settings.autoDelete && engine?.real === true && engine.live.size === 0) deleteIdle(core, engine)
}

/** Python looks after its minimum this often. */
const AUTOSCALE_INTERVAL_MS = 20_000

/** AUTO_DELETE: the engine goes at once with its last stream; if that was one too few, another comes later. */
function deleteIdle(core: Core, engine: EngineEntry): void {
  core.book.engines.delete(engine.containerId)
  vanish(core, engine)
  core.after(AUTOSCALE_INTERVAL_MS, () => {
    if (core.book.engines.size < core.settings.minReplicas) core.createEngine()
  })
}
