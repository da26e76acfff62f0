import { type EngineEntry, healthAt } from '../engine-entry.ts'
import { goTime } from '../stamps.ts'
import type { StreamEntry } from '../stream-entry.ts'

/** Go's zero time. */
const NEVER = '0001-01-01T00:00:00Z'

/** Where an engine is shown: `list` in the list of port 8000, `push` in a push, `plain` by id and on port 8083. */
export type EngineView = 'list' | 'push' | 'plain'

/** Formats an engine as v1 does. Streams are never listed; the list and pushes show the drifting count (H18). */
export function engineJson(engine: EngineEntry, nowMs: number, view: EngineView): Record<string, unknown> {
  return {
    container_id: engine.containerId,
    container_name: engine.containerName,
    host: engine.host,
    port: engine.port,
    api_port: engine.apiPort,
    labels: engine.labels,
    forwarded: engine.forwarded,
    ...(engine.vpnContainer !== null && { vpn_container: engine.vpnContainer }),
    health_status: healthAt(engine, nowMs),
    first_seen: goTime(engine.firstSeen),
    last_seen: goTime(engine.lastSeen),
    draining: engine.draining,
    ...(engine.drainReason !== null && { drain_reason: engine.drainReason }),
    ...(view !== 'list' && { last_assigned_at: engine.lastAssigned === null ? NEVER : goTime(engine.lastAssigned) }),
    stream_count: view === 'plain' ? 0 : engine.driftingCount,
    total_peers: 0,
    total_speed_down: 0,
    total_speed_up: 0,
    cpu_percent: 0,
    memory_usage: 0,
    memory_percent: 0,
    streams: view === 'list' ? [] : null,
  }
}

/** Formats a stream as v1 does. */
export function streamJson(stream: StreamEntry): Record<string, unknown> {
  const isOwnViewer = stream.keyType === '' && stream.key === ''
  return {
    id: stream.id,
    content_id: stream.id,
    key_type: stream.keyType,
    key: stream.key,
    file_indexes: isOwnViewer ? '' : '0',
    seekback: 0,
    live_delay: 0,
    ...(isOwnViewer && { control_mode: 'api', stream_mode: 'TS' }),
    container_id: stream.containerId,
    ...(stream.containerId !== '' && { container_name: stream.containerName ?? stream.containerId }),
    engine_id: stream.containerId,
    engine_name: stream.containerId === '' ? '' : (stream.containerName ?? stream.containerId),
    playback_session_id: stream.playbackSessionId,
    stat_url: stream.statUrl,
    command_url: stream.commandUrl,
    is_live: stream.isLive,
    started_at: goTime(stream.startedAt),
    last_activity: goTime(stream.startedAt),
    status: stream.status,
    paused: false,
    active_clients: 0,
    clients: [],
  }
}
