import type { Core } from '../core.ts'
import type { EngineEntry } from '../engine-entry.ts'
import { type FakeResponse, jsonResponse } from '../http.ts'
import type { StreamEntry } from '../stream-entry.ts'
import { scheduleMonitorRound, vanish } from '../vanish.ts'
import type { EndBody, StartBody } from './bodies.ts'
import { streamJson } from './wire.ts'

/** `POST /events/stream_started`. */
export function streamStarted(core: Core, body: StartBody): FakeResponse {
  const { records, settings, stamps } = core
  const engine = engineOf(core, body)
  // H7: the address of a start overwrites the listed one, and its labels are merged into the engine's.
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
  const entry = records.start(init, engine.containerName, { by: 'request', requestedId: id })
  return jsonResponse(200, streamJson(settings.generation, entry))
}

/** Returns the engine of a start: the one it names, else the one at its address, else an invented one without a container (H8). */
function engineOf(core: Core, { container_id: containerId, engine: { host, port } }: StartBody): EngineEntry {
  const { records, settings } = core
  const listed = (containerId ? records.engines.get(containerId) : undefined) ?? records.engineAt(host, port)
  if (listed !== undefined) return listed
  const invented = core.inventEngine(containerId || undefined, host, port)
  if (settings.generation === '2025-10') scheduleMonitorRound(core)
  return invented
}

/** `POST /events/stream_ended`. */
export function streamEnded(core: Core, body: EndBody): FakeResponse {
  const { records, settings } = core
  const requestedId = body.stream_id ?? ''
  const named = requestedId === '' ? undefined : records.streams.get(requestedId)
  // H1: an unknown id, or none, ends the last live stream of the given container, or of all engines if no container is given. If the
  // container is unknown, no stream ends. If the stream id is known, the container is ignored.
  const entry = named ?? records.lastLive(body.container_id || undefined)
  if (entry === undefined) {
    records.counters.endsMissed++
    return jsonResponse(200, { updated: false, stream: null })
  }
  if (named === undefined) records.counters.innocentsEnded++
  else if (named.endedAt === null) records.counters.endsApplied++
  else records.counters.repeatedEnds++
  endStream(core, entry, { by: 'request', requestedId })
  return jsonResponse(200, { updated: true, stream: streamJson(settings.generation, entry) })
}

/** Ends a stream. 2025-10 keeps it in its list; 2026-04 removes it and all streams of the same content (H6). */
export function endStream(core: Core, entry: StreamEntry, cause: { by: 'request' | 'elsewhere'; requestedId?: string }): void {
  const { records, settings, stamps } = core
  const engine = records.engines.get(entry.containerId)
  if (settings.generation === '2025-10') {
    if (entry.endedAt === null) records.end(entry, stamps.next(), cause, true)
    // A repeated end only moves the time of the end.
    else entry.endedAt = stamps.next()
  } else {
    const sameContent = records.sameContent(entry)
    records.end(entry, stamps.next(), cause, false)
    for (const other of sameContent) {
      records.end(other, stamps.next(), cause, false)
      if (cause.by === 'request') records.counters.namesakesEnded++
    }
  }
  if (settings.autoDelete && engine?.real === true && engine.live.size === 0) deleteIdle(core, engine)
}

/** Interval at which Python checks its minimum number of engines. */
const AUTOSCALE_INTERVAL_MS = 20_000

/** AUTO_DELETE: removes the engine at once when its last stream ends. If fewer than the minimum are left, another one starts later. */
function deleteIdle(core: Core, engine: EngineEntry): void {
  core.records.engines.delete(engine.containerId)
  vanish(core, engine)
  core.after(AUTOSCALE_INTERVAL_MS, () => {
    if (core.records.engines.size < core.settings.minReplicas) core.createEngine()
  })
}
