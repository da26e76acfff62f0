import type { StartEvent } from '../model/stream.ts'
import { Mismatch, readField, readId, readObject, readText } from './decoding.ts'
import { parseDate, parseNanoseconds } from './timestamps.ts'
import { nameOf } from './unreadable-entries.ts'

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

/** Reads the answer to `POST /events/stream_started`: the stream. */
export function readStartAnswer(value: unknown): StartAcknowledgement {
  const answer = readObject(value)
  const streamId = readField(answer, 'id', readId)
  const containerId = readField(answer, 'container_id', readText)
  const startedAt = parseDate(answer['started_at'])
  const startedAtNs = parseNanoseconds(answer['started_at'])
  return {
    streamId,
    containerId,
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(startedAtNs === undefined ? {} : { startedAtNs }),
  }
}

/** Reads the answer to `POST /events/stream_ended`: the stream that was ended, if any (2025-10, 2026-04), or only that the request arrived (v1). */
export function readEndAnswer(value: unknown): EndAcknowledgement {
  const answer = readObject(value)
  const { updated, stream } = answer
  if (typeof updated === 'boolean' && stream === null) return { applied: updated }
  const streamId = nameOf(typeof stream === 'object' && stream !== null && 'id' in stream ? stream.id : undefined)
  if (typeof updated === 'boolean' && streamId !== undefined) return { applied: updated, streamId }
  if (answer['status'] === 'ended') return {}
  throw new Mismatch('Object')
}

/** Reads the answer to `POST /provision/acestream`: the new engine (2025-10), or only that the request was accepted (v1, H19). */
export function readProvisionAnswer(value: unknown): ProvisionAcknowledgement {
  const answer = readObject(value)
  const containerId = nameOf(answer['container_id'])
  if (containerId !== undefined) return { containerId }
  if (answer['status'] === 'provisioning') return {}
  throw new Mismatch('Object')
}

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
