import { type EngineEntry, healthAt } from '../engine-entry.ts'
import type { Generation } from '../generation.ts'
import { type Micros, pythonTime } from '../stamps.ts'
import type { StreamEntry } from '../stream-entry.ts'

const timeOrNull = (stamp: Micros | null): string | null => (stamp === null ? null : pythonTime(stamp))

/** Formats an engine as Python does. `listed`: in a list, where 2026-04 shows figures that it may omit for a single engine. */
export function engineJson(generation: Generation, engine: EngineEntry, nowMs: number, listed: boolean): Record<string, unknown> {
  const healthStatus = healthAt(engine, nowMs)
  const common = {
    container_id: engine.containerId,
    container_name: engine.containerName,
    host: engine.host,
    port: engine.port,
    labels: engine.labels,
    first_seen: pythonTime(engine.firstSeen),
    last_seen: pythonTime(engine.lastSeen),
    streams: [...engine.live.keys()],
    health_status: healthStatus,
    last_health_check: timeOrNull(engine.lastHealthCheck),
    last_stream_usage: timeOrNull(engine.lastStreamUsage),
  }
  if (generation === '2025-10') return { ...common, last_cache_cleanup: null, cache_size_bytes: null }
  const figure = listed || engine.hasFigures ? 0 : null
  const monitored = listed ? 0 : null
  return {
    ...common,
    api_port: engine.apiPort,
    forwarded: engine.forwarded,
    vpn_container: engine.vpnContainer,
    engine_variant: 'global-amd64',
    platform: engine.real ? 'linux' : null,
    version: engine.real ? '3.2.11' : null,
    forwarded_port: null,
    total_peers: figure,
    total_speed_down: figure,
    total_speed_up: figure,
    stream_count: figure === null ? null : engine.live.size,
    monitor_stream_count: monitored,
    monitor_speed_down: monitored,
    monitor_speed_up: monitored,
  }
}

/** Formats a stream as Python does. */
export function streamJson(generation: Generation, stream: StreamEntry): Record<string, unknown> {
  const common = {
    id: stream.id,
    key_type: stream.keyType,
    key: stream.key,
    container_id: stream.containerId,
    playback_session_id: stream.playbackSessionId,
    stat_url: stream.statUrl,
    command_url: stream.commandUrl,
    is_live: stream.isLive,
    started_at: pythonTime(stream.startedAt),
    ended_at: timeOrNull(stream.endedAt),
    status: stream.status,
  }
  if (generation === '2025-10') return common
  return {
    ...common,
    file_indexes: '0',
    seekback: 0,
    live_delay: 0,
    control_mode: null,
    container_name: stream.containerName,
    bitrate: null,
    paused: false,
    peers: null,
    speed_down: null,
    speed_up: null,
    downloaded: null,
    uploaded: null,
    livepos: null,
    proxy_buffer_pieces: null,
    clients: [],
  }
}
