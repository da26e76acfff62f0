import type { StartEvent } from '../model/domain.ts'

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
