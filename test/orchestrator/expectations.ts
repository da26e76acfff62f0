/*
 * The expected result for each recorded answer. Written without the client's own schemas, so that a mistake in these is found.
 */
export interface Json {
  readonly [key: string]: unknown
}

/** The value at a dotted path, `undefined` where there is none. */
export function at(value: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((found, key) => (typeof found === 'object' && found !== null ? Reflect.get(found, key) : undefined), value)
}

/** The array at a path; empty where there is none. */
export function listAt(value: unknown, path: string): readonly unknown[] {
  const found = at(value, path)
  return Array.isArray(found) ? found : []
}

/** The fields that are neither undefined nor null. */
const present = (fields: Json): Json =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null))

const dates = (fields: Json): Json =>
  Object.fromEntries(
    Object.entries(fields)
      .filter(([, value]) => typeof value === 'string' && !value.startsWith('0001-'))
      .map(([name, value]) => [name, new Date(String(value))]),
  )

export function expectedEngine(raw: unknown, streamIds: readonly unknown[]): Json {
  return {
    containerId: at(raw, 'container_id'),
    host: at(raw, 'host'),
    port: at(raw, 'port'),
    healthStatus: at(raw, 'health_status'),
    forwarded: at(raw, 'forwarded') ?? false,
    draining: at(raw, 'draining') ?? false,
    streamIds,
    streamCount: at(raw, 'stream_count') ?? listAt(raw, 'streams').length,
    labels: at(raw, 'labels'),
    ...present({ containerName: at(raw, 'container_name'), vpnContainer: at(raw, 'vpn_container') }),
    ...dates({
      firstSeen: at(raw, 'first_seen'),
      lastSeen: at(raw, 'last_seen'),
      lastHealthCheck: at(raw, 'last_health_check'),
      lastStreamUsage: at(raw, 'last_stream_usage'),
    }),
  }
}

export function expectedStream(raw: unknown): Json {
  return {
    id: at(raw, 'id'),
    keyType: at(raw, 'key_type'),
    key: at(raw, 'key'),
    containerId: at(raw, 'container_id'),
    playbackSessionId: at(raw, 'playback_session_id'),
    statUrl: at(raw, 'stat_url'),
    commandUrl: at(raw, 'command_url'),
    isLive: at(raw, 'is_live'),
    status: at(raw, 'status'),
    ...dates({ startedAt: at(raw, 'started_at'), endedAt: at(raw, 'ended_at') }),
  }
}

export function expectedStart(raw: unknown): Json {
  const startedAt = at(raw, 'started_at')
  return { streamId: at(raw, 'id'), containerId: at(raw, 'container_id'), ...dates({ startedAt }), startedAtNs: nanoseconds(startedAt) }
}

/** A recorded time in nanoseconds. All recorded times are in UTC, and whole seconds have no fraction. */
export function nanoseconds(time: unknown): bigint {
  const [, seconds = '', , fraction = ''] = /^(.{19})(\.(\d+))?Z$/.exec(String(time)) ?? []
  return BigInt(Date.parse(`${seconds}Z`)) * 1_000_000n + BigInt(Math.round(Number(`0.${fraction || 0}`) * 1e9))
}

export function expectedEnd(raw: unknown): Json {
  if (at(raw, 'status') === 'ended') return {}
  return { applied: at(raw, 'updated'), ...present({ streamId: at(raw, 'stream.id') }) }
}

export function expectedProvision(raw: unknown): Json {
  return present({ containerId: at(raw, 'container_id') })
}

export function expectedHealth(raw: unknown): Json {
  const reason = at(raw, 'provisioning.blocked_reason')
  const block = at(raw, 'provisioning.blocked_reason_details') ?? reason
  const eta = at(block, 'recovery_eta_seconds')
  const lastFailure = at(raw, 'provisioning.last_failure')
  return {
    status: at(raw, 'status'),
    ...present({ vpnConnected: at(raw, 'vpn.connected') }),
    capacity: {
      total: at(raw, 'capacity.total'),
      used: at(raw, 'capacity.used'),
      available: at(raw, 'capacity.available'),
      maxReplicas: at(raw, 'capacity.max_replicas'),
    },
    provisioning: {
      canProvision: at(raw, 'provisioning.can_provision'),
      ...present({ code: at(block, 'code'), reason: at(reason, 'message') ?? reason }),
      ...(typeof eta === 'number' ? { retryAfterMs: eta * 1_000 } : {}),
      ...(typeof lastFailure === 'string' && lastFailure !== '' ? { lastFailureAt: new Date(lastFailure) } : {}),
      // Every block in the recordings is temporary.
      shouldWait: true,
    },
  }
}

export function expectedBreaker(raw: unknown, nowMs: number): Json {
  if (at(raw, 'general.state') !== 'open') return {}
  const failedAt = Date.parse(String(at(raw, 'general.last_failure_time')))
  return { retryAfterMs: failedAt + Number(at(raw, 'general.recovery_timeout')) * 1_000 - nowMs }
}

export function expectedRefusal(body: unknown): Json {
  if (typeof body === 'string') return { reason: 'general_error', retryAfterMs: undefined, shouldWait: false, canRetry: false }
  const eta = at(body, 'detail.recovery_eta_seconds')
  return {
    reason: at(body, 'detail.code'),
    retryAfterMs: typeof eta === 'number' ? eta * 1_000 : undefined,
    shouldWait: at(body, 'detail.should_wait'),
    canRetry: at(body, 'detail.can_retry'),
  }
}
