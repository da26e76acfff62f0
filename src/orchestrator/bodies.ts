import * as v from 'valibot'
import type { StartEvent } from '../model/stream.ts'
import { parseDate, parseNanoseconds } from './timestamps.ts'

/** A request for a new engine. The orchestrator uses its defaults for a field that is missing. */
export interface ProvisionRequest {
  labels?: Record<string, string>
  env?: Record<string, string>
}

/** The end of one stream. */
export interface EndEvent {
  streamId: string
  reason?: string
}

/**
 * The body of `stream_started`, the same for all generations. `content_id` is the stream's id for v1; without it two viewers of one content
 * overwrite each other there.
 */
export function startBody(event: StartEvent): object {
  const { streamId, containerId, address, keyType, key, session, labels } = event
  return {
    content_id: streamId,
    ...(containerId === undefined ? {} : { engine_id: containerId, container_id: containerId }),
    engine: { host: address.host, port: address.port },
    stream: { key_type: keyType, key },
    session: {
      playback_session_id: session.playbackSessionId,
      stat_url: session.statUrl,
      command_url: session.commandUrl,
      // A number, since 2025-10 rejects `null` and v1 rejects `true`.
      is_live: session.isLive ? 1 : 0,
    },
    labels: { ...labels, stream_id: streamId },
  }
}

/**
 * The body of `stream_ended`, with a fence: a `container_id` that cannot exist. If the stream is unknown, 2025-10 and 2026-04 end the last stream of
 * `container_id` instead (H1). A container that does not exist has no stream.
 */
export function endBody({ streamId, reason }: EndEvent): object {
  return { content_id: streamId, stream_id: streamId, container_id: `stream:${streamId}`, ...(reason === undefined ? {} : { reason }) }
}

/** The body of a request for an engine. At least `{}`: 2025-10 rejects a request without a body, and labels that are `null`. */
export function provisionBody({ labels, env }: ProvisionRequest): object {
  return { ...(labels === undefined ? {} : { labels }), ...(env === undefined ? {} : { env }) }
}

const IdSchema = v.pipe(v.string(), v.nonEmpty())

/** The answer to `POST /events/stream_started`: the stream. */
export const StartAnswerSchema: v.GenericSchema<unknown, StartAcknowledgement> = v.pipe(
  v.object({ id: IdSchema, container_id: v.string(), started_at: v.optional(v.unknown()) }),
  v.transform(({ id, container_id, started_at }) => {
    const startedAt = parseDate(started_at)
    const startedAtNs = parseNanoseconds(started_at)
    return {
      streamId: id,
      containerId: container_id,
      ...(startedAt === undefined ? {} : { startedAt }),
      ...(startedAtNs === undefined ? {} : { startedAtNs }),
    }
  }),
)

/** The answer to `POST /events/stream_ended`: the stream that was ended, if any (2025-10, 2026-04), or only that the request arrived (v1). */
export const EndAnswerSchema: v.GenericSchema<unknown, EndAcknowledgement> = v.union([
  v.pipe(
    v.object({ updated: v.boolean(), stream: v.nullable(v.object({ id: IdSchema })) }),
    v.transform(({ updated, stream }) => ({ applied: updated, ...(stream === null ? {} : { streamId: stream.id }) })),
  ),
  v.pipe(
    v.object({ status: v.literal('ended') }),
    v.transform(() => ({})),
  ),
])

/** The answer to `POST /provision/acestream`: the new engine (2025-10), or only that the request was accepted (v1, H19). */
export const ProvisionAnswerSchema: v.GenericSchema<unknown, ProvisionAcknowledgement> = v.union([
  v.pipe(
    v.object({ container_id: IdSchema }),
    v.transform(({ container_id }) => ({ containerId: container_id })),
  ),
  v.pipe(
    v.object({ status: v.literal('provisioning') }),
    v.transform(() => ({})),
  ),
])

/** The orchestrator's acknowledgement of a start. */
export interface StartAcknowledgement {
  /** The id of the stream at the orchestrator, which an end must name. */
  readonly streamId: string
  /** The engine to which the orchestrator assigned it. */
  readonly containerId: string
  readonly startedAt?: Date
  /** `startedAt` in nanoseconds since the epoch, to compare with the time of a pushed list. */
  readonly startedAtNs?: bigint
}

/** The orchestrator's acknowledgement of an end. */
export interface EndAcknowledgement {
  /** Whether a stream was ended; `undefined` if the generation does not say (v1). */
  readonly applied?: boolean
  /** The id of the stream that was ended, if the generation says. An id other than the one that was sent is a wrong stream (H1). */
  readonly streamId?: string
}

/** The orchestrator's acknowledgement of a request for an engine. */
export interface ProvisionAcknowledgement {
  /** The new engine, if the generation says (not v1). */
  readonly containerId?: string
}
