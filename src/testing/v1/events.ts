import type { Core } from '../core.ts'
import type { Surface } from '../generation.ts'
import { type FakeResponse, jsonResponse } from '../http.ts'
import type { Cause } from '../records.ts'
import type { StreamEntry } from '../stream-entry.ts'
import { decodeEvent } from './decode.ts'
import { streamJson } from './wire.ts'

const badRequest = (error: string): FakeResponse => jsonResponse(400, { error })

/** `POST /events/stream_started`. */
export function streamStarted(core: Core, raw: string, surface: Surface): FakeResponse {
  const event = decodeEvent(raw)
  if (event === undefined) return badRequest('invalid json')
  // Without a `content_id` the key becomes the id, so two viewers of one content overwrite each other.
  const id = event.contentId || (surface === 'public' ? event.key : '')
  if (id === '') return badRequest('content_id required')
  const { records, stamps } = core
  const containerId = event.containerId || event.engineId
  const engine = records.engines.get(containerId)
  if (engine !== undefined) {
    // H18: every start adds one, also a repeated start (H5), and no end removes the extra one.
    engine.driftingCount++
    engine.claims = Math.max(0, engine.claims - 1)
  }
  const { keyType, key, playbackSessionId, statUrl, commandUrl, isLive } = event
  const details = { keyType, key, playbackSessionId, statUrl, commandUrl, isLive, startedAt: stamps.next(), own: true }
  const entry = records.start({ id, containerId, ...details }, engine?.containerName ?? null, { by: 'request', requestedId: id })
  return jsonResponse(200, streamJson(entry))
}

/** `POST /events/stream_ended`. The response does not show whether a stream ended. */
export function streamEnded(core: Core, raw: string, surface: Surface): FakeResponse {
  const event = decodeEvent(raw)
  if (event === undefined) return badRequest('invalid json')
  if (event.contentId === '' && surface === 'internal') return badRequest('content_id required')
  if (event.contentId === '' && event.streamId === '') return badRequest('content_id or stream_id required')
  const { records } = core
  const entry = records.streams.get(event.contentId) ?? records.streams.get(event.streamId)
  if (entry === undefined) {
    records.counters.endsMissed++
  } else {
    records.counters.endsApplied++
    endStream(core, entry, { by: 'request', requestedId: entry.id })
  }
  return jsonResponse(200, { status: 'ended' })
}

/** Ends a stream: removes it from the list, and lowers the count of its present engine by one. */
export function endStream(core: Core, entry: StreamEntry, cause: Cause): void {
  const engine = core.records.engines.get(entry.containerId)
  if (engine !== undefined) engine.driftingCount = Math.max(0, engine.driftingCount - 1)
  core.records.end(entry, core.stamps.next(), cause, false)
}
