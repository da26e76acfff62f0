import * as v from 'valibot'
import type { StartEvent } from '../../src/model/stream.ts'

const StartRequestSchema = v.object({
  container_id: v.nullish(v.string()),
  engine: v.object({ host: v.string(), port: v.number() }),
  stream: v.object({ key_type: v.picklist(['content_id', 'infohash', 'url', 'magnet']), key: v.string() }),
  session: v.object({ playback_session_id: v.string(), stat_url: v.string(), command_url: v.string(), is_live: v.picklist([0, 1]) }),
  labels: v.intersect([v.object({ stream_id: v.pipe(v.string(), v.nonEmpty()) }), v.record(v.string(), v.string())]),
})
const EndRequestSchema = v.object({ stream_id: v.string(), reason: v.optional(v.string()) })

/** A recorded request that this client could have sent, and the event from which it would build that request. */
export interface RecordedStart {
  request: object
  event: StartEvent
}

/**
 * Reads a recorded start. Returns `undefined` for a malformed request; many were recorded on purpose. Fields outside the protocol are left
 * out.
 */
export function recordedStart(body: unknown): RecordedStart | undefined {
  const result = v.safeParse(StartRequestSchema, body)
  if (!result.success) return undefined
  const { container_id: containerId, ...request } = result.output
  const { stream_id: streamId, ...labels } = request.labels
  const { session } = request
  return {
    request: containerId ? { ...request, container_id: containerId } : request,
    event: {
      streamId,
      ...(containerId ? { containerId } : {}),
      address: request.engine,
      keyType: request.stream.key_type,
      key: request.stream.key,
      session: {
        playbackSessionId: session.playback_session_id,
        statUrl: session.stat_url,
        commandUrl: session.command_url,
        isLive: session.is_live === 1,
      },
      labels,
    },
  }
}

/** Reads a recorded end. Returns `undefined` for a malformed request. */
export function recordedEnd(body: unknown): { streamId: string; reason?: string } | undefined {
  const result = v.safeParse(EndRequestSchema, body)
  if (!result.success) return undefined
  const { stream_id: streamId, reason } = result.output
  return { streamId, ...(reason === undefined ? {} : { reason }) }
}
