import * as v from 'valibot'

import type { StartEvent } from '../model/stream.ts'
import { parseDate, parseNanoseconds } from './timestamps.ts'

/** What asks for a new engine; the orchestrator's defaults for what is missing. */
export interface ProvisionRequest {
  labels?: Record<string, string>
  env?: Record<string, string>
}

/** Ends one stream and no other. */
export interface EndEvent {
  streamId: string
  reason?: string
}

/**
 * The body of `stream_started`, one for all generations. `content_id` makes v1 key by stream; without it two viewers of one content
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
      // A number: 2025-10 refuses null, v1 refuses true.
      is_live: session.isLive ? 1 : 0,
    },
    labels: { ...labels, stream_id: streamId },
  }
}

/**
 * The body of `stream_ended`, fenced. Both Python generations take an id they do not know for the last stream started on `container_id`,
 * and end that (hazard 1); a container that cannot exist leaves them nothing to end.
 */
export function endBody({ streamId, reason }: EndEvent): object {
  return { content_id: streamId, stream_id: streamId, container_id: `stream:${streamId}`, ...(reason === undefined ? {} : { reason }) }
}

/** The body of a provision request. Never empty: 2025-10 refuses a request without one, and labels that are null. */
export function provisionBody({ labels, env }: ProvisionRequest): object {
  return { ...(labels === undefined ? {} : { labels }), ...(env === undefined ? {} : { env }) }
}

const IdSchema = v.pipe(v.string(), v.nonEmpty())

/** `POST /events/stream_started`: the stream. */
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

/** `POST /events/stream_ended`: whether and which (Python), or merely that it was heard (v1). */
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

/** `POST /provision/acestream`: the new engine (2025-10), or that there may be one some day (v1, hazard 19). */
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
  /** The id by which the orchestrator knows the stream: the one to end. */
  readonly streamId: string
  /** Where the orchestrator put it. */
  readonly containerId: string
  readonly startedAt?: Date
  /** The same in nanoseconds since the epoch, as exact as the orchestrator told it: to be compared with the time of a pushed list. */
  readonly startedAtNs?: bigint
}

/** The orchestrator's acknowledgement of an end. */
export interface EndAcknowledgement {
  /** Whether a stream was ended; `undefined` where the generation does not tell (v1). */
  readonly applied?: boolean
  /** Id of the stream that was ended, where the generation tells; another than ours is a victim (hazard 1). */
  readonly streamId?: string
}

/** The answer to a provision request that was not refused. */
export interface ProvisionAcknowledgement {
  /** Names the new engine, where the generation tells (not v1). */
  readonly containerId?: string
}
