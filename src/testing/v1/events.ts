import type { Cause } from '../book.ts'
import type { Core } from '../core.ts'
import type { Surface } from '../generation.ts'
import { type FakeResponse, jsonResponse } from '../http.ts'
import type { StreamEntry } from '../stream-entry.ts'
import { decodeEvent } from './decode.ts'
import { streamJson } from './wire.ts'

const badRequest = (error: string): FakeResponse => jsonResponse(400, { error })

/** `POST /events/stream_started`. */
export function streamStarted(core: Core, raw: string, surface: Surface): FakeResponse {
  const event = decodeEvent(raw)
  if (event === undefined) return badRequest('invalid json')
  // Keyed by content where the client does not say otherwise: two viewers of one content overwrite each other then.
  const id = event.contentId || (surface === 'public' ? event.key : '')
  if (id === '') return badRequest('content_id required')
  const { book, stamps } = core
  const containerId = event.containerId || event.engineId
  const engine = book.engines.get(containerId)
  if (engine !== undefined) {
    // Hazard 18: every start adds one; a repeated start (hazard 5) adds one that no end takes away.
    engine.driftingCount++
    engine.claims = Math.max(0, engine.claims - 1)
  }
  const { keyType, key, playbackSessionId, statUrl, commandUrl, isLive } = event
  const details = { keyType, key, playbackSessionId, statUrl, commandUrl, isLive, startedAt: stamps.next(), own: true }
  const entry = book.start({ id, containerId, ...details }, engine?.containerName ?? null, { by: 'request', requestedId: id })
  return jsonResponse(200, streamJson(entry))
}

/** `POST /events/stream_ended`. The answer never tells whether anything ended. */
export function streamEnded(core: Core, raw: string, surface: Surface): FakeResponse {
  const event = decodeEvent(raw)
  if (event === undefined) return badRequest('invalid json')
  if (event.contentId === '' && surface === 'internal') return badRequest('content_id required')
  if (event.contentId === '' && event.streamId === '') return badRequest('content_id or stream_id required')
  const { book } = core
  const entry = book.streams.get(event.contentId) ?? book.streams.get(event.streamId)
  if (entry === undefined) {
    book.counters.endsMissed++
  } else {
    book.counters.endsApplied++
    endStream(core, entry, { by: 'request', requestedId: entry.id })
  }
  return jsonResponse(200, { status: 'ended' })
}

/** Ends a stream: it vanishes from the list, and its present engine's count goes down by one. */
export function endStream(core: Core, entry: StreamEntry, cause: Cause): void {
  const engine = core.book.engines.get(entry.containerId)
  if (engine !== undefined) engine.driftingCount = Math.max(0, engine.driftingCount - 1)
  core.book.end(entry, core.stamps.next(), cause, false)
}
