/**
 * The shapes of the orchestrator's answers and of cached lists, as schemas. The library reads them by hand, since a schema library would cost an
 * application its time to load and to parse. Tests compare both.
 */
import * as v from 'valibot'
import type { OrchestratorHealth, OrchestratorStatus } from '../../src/model/health.ts'
import type { Stream } from '../../src/model/stream.ts'
import type { EndAcknowledgement, ProvisionAcknowledgement, StartAcknowledgement } from '../../src/orchestrator/bodies.ts'
import { asNumber } from '../../src/orchestrator/decoding.ts'
import type { ProvisioningBreaker } from '../../src/orchestrator/health.ts'
import { type EngineRecord, labelsFrom } from '../../src/orchestrator/listed-engines.ts'
import { type Block, defaultsForCode, etaMsOf, inferCode } from '../../src/orchestrator/refusals.ts'
import { type Entries, type Identify, nameOf, type UnreadableEntry } from '../../src/orchestrator/unreadable-entries.ts'
import type { WireList } from '../../src/orchestrator/wire-lists.ts'

const LATEST_DATE_MS = 8.64e15
const HIGHEST_PORT = 65_535

/** Parses a time with a pattern and `Date.parse` alone. */
export function parseTimestamp(value: unknown): number | undefined {
  const [, date, time, fraction = '', zone = 'Z'] =
    (typeof value === 'string' && /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:?\d\d)?$/i.exec(value)) || []
  if (date === undefined || date === '0001-01-01') return undefined
  const at = Date.parse(`${date}T${time}${fraction.slice(0, 4)}${zone.toUpperCase()}`)
  return Number.isNaN(at) ? undefined : at
}

function parseDate(value: unknown): Date | undefined {
  const at = parseTimestamp(value)
  return at === undefined ? undefined : new Date(at)
}

function parseNanoseconds(value: unknown): bigint | undefined {
  const wholeMs = typeof value === 'string' ? parseTimestamp(value.replace(/\.(\d+)/, '')) : undefined
  if (typeof value !== 'string' || wholeMs === undefined || parseTimestamp(value) === undefined) return undefined
  const digits = /\.(\d+)/.exec(value)?.[1] ?? ''
  return BigInt(wholeMs) * 1_000_000n + BigInt(digits.slice(0, 9).padEnd(9, '0'))
}

/** Describes the first mismatch by its path and the expected type. */
export function expectation(issue: v.BaseIssue<unknown>, whole: string): string {
  const expected = issue.type === 'integer' ? 'integer' : (issue.expected ?? issue.message)
  return `${v.getDotPath(issue) ?? whole}: expected ${expected}`
}

function entriesSchema<Entry>(entry: v.GenericSchema<unknown, Entry>, identify: Identify): v.GenericSchema<unknown, Entries<Entry>> {
  return v.pipe(
    v.array(v.unknown()),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const entries: Entry[] = []
      const unreadable: UnreadableEntry[] = []
      let first: Parameters<typeof addIssue>[0] | undefined
      for (const [index, value] of dataset.value.entries()) {
        const result = v.safeParse(entry, value, { abortEarly: true, abortPipeEarly: true })
        if (result.success) {
          entries.push(result.output)
          continue
        }
        const [issue] = result.issues
        const isRecord = typeof value === 'object' && value !== null && !Array.isArray(value)
        unreadable.push({ ...(isRecord ? identify(value as Record<string, unknown>) : {}), cause: expectation(issue, 'entry') })
        const at = { type: 'array', origin: 'value', input: dataset.value, key: index, value } as const
        first ??= {
          message: issue.message,
          expected: issue.type === 'integer' ? 'integer' : (issue.expected ?? issue.message),
          path: [at, ...(issue.path ?? [])],
        }
      }
      if (entries.length > 0 || first === undefined) return { entries, unreadable }
      addIssue(first)
      return NEVER
    }),
  )
}

const NameSchema = v.pipe(v.string(), v.nonEmpty())
const EpochMsSchema = v.exactOptional(v.pipe(v.number(), v.minValue(-LATEST_DATE_MS), v.maxValue(LATEST_DATE_MS)))

/** A whole number, or the text of one. */
const WholeNumberSchema: v.GenericSchema<unknown, number> = v.pipe(v.unknown(), v.transform(asNumber), v.number(), v.integer())

/** Checks a record that comes from a cache, to which other programs may write. */
export const EngineRecordSchema: v.GenericSchema<unknown, EngineRecord> = v.object({
  containerId: NameSchema,
  containerName: v.exactOptional(v.string()),
  host: NameSchema,
  port: v.pipe(WholeNumberSchema, v.minValue(1), v.maxValue(HIGHEST_PORT)),
  healthStatus: v.picklist(['healthy', 'unhealthy', 'unknown']),
  forwarded: v.boolean(),
  draining: v.boolean(),
  vpnContainer: v.exactOptional(v.string()),
  streamIds: v.array(v.string()),
  streamCount: v.pipe(v.number(), v.integer(), v.minValue(0)),
  labels: v.pipe(v.unknown(), v.transform(labelsFrom)),
  firstSeen: EpochMsSchema,
  lastSeen: EpochMsSchema,
  lastHealthCheck: EpochMsSchema,
  lastStreamUsage: EpochMsSchema,
})

const IdSchema = v.pipe(v.string(), v.nonEmpty())
const AnythingSchema = v.optional(v.unknown())
/** Go writes a missing text, list or object as `null`. */
const TextSchema = v.pipe(v.nullish(v.string(), ''), v.string())

const textOrAbsent = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

const DATE_FIELDS = [
  ['firstSeen', 'first_seen'],
  ['lastSeen', 'last_seen'],
  ['lastHealthCheck', 'last_health_check'],
  ['lastStreamUsage', 'last_stream_usage'],
] as const

const WireEngineSchema = v.pipe(
  v.object({
    container_id: IdSchema,
    container_name: AnythingSchema,
    host: v.string(),
    port: WholeNumberSchema,
    health_status: AnythingSchema,
    forwarded: AnythingSchema,
    draining: AnythingSchema,
    vpn_container: AnythingSchema,
    streams: v.nullish(v.array(v.string())),
    stream_count: AnythingSchema,
    labels: AnythingSchema,
    first_seen: AnythingSchema,
    last_seen: AnythingSchema,
    last_health_check: AnythingSchema,
    last_stream_usage: AnythingSchema,
  }),
  v.transform((wire): EngineRecord => {
    const containerName = textOrAbsent(wire.container_name)
    const vpnContainer = textOrAbsent(wire.vpn_container)
    const streamIds = [...new Set(wire.streams)]
    const streamCount = asNumber(wire.stream_count)
    const record: EngineRecord = {
      containerId: wire.container_id,
      ...(containerName === undefined ? {} : { containerName }),
      host: wire.host,
      port: wire.port,
      healthStatus: wire.health_status === 'healthy' || wire.health_status === 'unhealthy' ? wire.health_status : 'unknown',
      forwarded: wire.forwarded === true,
      draining: wire.draining === true,
      ...(vpnContainer === undefined ? {} : { vpnContainer }),
      streamIds,
      streamCount: isCount(streamCount) ? streamCount : streamIds.length,
      labels: labelsFrom(wire.labels),
    }
    for (const [field, name] of DATE_FIELDS) {
      const at = parseTimestamp(wire[name])
      if (at !== undefined) record[field] = at
    }
    return record
  }),
)

const WireStreamSchema = v.pipe(
  v.object({
    id: IdSchema,
    key_type: TextSchema,
    key: TextSchema,
    container_id: TextSchema,
    playback_session_id: TextSchema,
    stat_url: TextSchema,
    command_url: TextSchema,
    is_live: AnythingSchema,
    status: v.string(),
    started_at: AnythingSchema,
    ended_at: AnythingSchema,
  }),
  v.transform((wire): Stream => {
    const startedAt = parseDate(wire.started_at)
    const startedAtNs = parseNanoseconds(wire.started_at)
    const endedAt = parseDate(wire.ended_at)
    const stream: Stream = {
      id: wire.id,
      keyType: wire.key_type,
      key: wire.key,
      containerId: wire.container_id,
      playbackSessionId: wire.playback_session_id,
      statUrl: wire.stat_url,
      commandUrl: wire.command_url,
      isLive: wire.is_live === true || wire.is_live === 1,
      status: wire.status,
      ...(startedAt === undefined ? {} : { startedAt }),
      ...(endedAt === undefined ? {} : { endedAt }),
    }
    return startedAtNs === undefined ? stream : Object.defineProperty(stream, 'startedAtUs', { value: Number(startedAtNs / 1_000n) })
  }),
)

const engineEntries = entriesSchema(WireEngineSchema, ({ container_id }) => {
  const id = nameOf(container_id)
  return id === undefined ? {} : { id }
})
const streamEntries = entriesSchema(WireStreamSchema, ({ id: named, container_id }) => {
  const id = nameOf(named)
  const containerId = nameOf(container_id)
  return { ...(id === undefined ? {} : { id }), ...(containerId === undefined ? {} : { containerId }) }
})

/** An array, or `{[name]: [...], total}`. Go writes an empty list as `null`, but `null` is a list only if `total` is 0. */
function listSchema<Entry>(name: string, entries: v.GenericSchema<unknown, Entries<Entry>>): v.GenericSchema<unknown, WireList<Entry>> {
  const bare = v.pipe(
    entries,
    v.transform((list) => ({ ...list, wrapped: false })),
  )
  const wrapped = v.pipe(
    v.record(v.string(), v.unknown()),
    v.transform((body) => (body[name] === null && body['total'] === 0 ? [] : body[name])),
    entries,
    v.transform((list) => ({ ...list, wrapped: true })),
  )
  // Not a union, whose error would not name the entry and the field that are wrong.
  return v.lazy((body) => (Array.isArray(body) ? bare : wrapped))
}

/** The answer to `GET /engines`. */
export const EngineListSchema: v.GenericSchema<unknown, WireList<EngineRecord>> = listSchema('engines', engineEntries)

/** The answer to `GET /streams`. */
export const StreamListSchema: v.GenericSchema<unknown, WireList<Stream>> = listSchema('streams', streamEntries)

/** The data of one pushed message. */
export const PushSchema = v.object({
  meta: v.fallback(v.object({ reason: AnythingSchema }), { reason: undefined }),
  payload: v.object({
    engines: v.nullable(engineEntries),
    engines_total: AnythingSchema,
    streams: v.nullable(streamEntries),
    timestamp: AnythingSchema,
  }),
})

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

const textSchema = v.fallback(v.optional(v.pipe(v.string(), v.nonEmpty())), undefined)
const flagSchema = v.fallback(v.optional(v.boolean()), undefined)
const secondsSchema = v.fallback(v.optional(v.pipe(v.number(), v.finite(), v.minValue(0))), undefined)

/** Reads a {@link Block}. A field of the wrong type is left out. */
const BlockSchema: v.GenericSchema<unknown, Block> = v.object({
  code: textSchema,
  message: textSchema,
  recovery_eta_seconds: secondsSchema,
  can_retry: flagSchema,
  should_wait: flagSchema,
})

type Capacity = NonNullable<OrchestratorHealth['capacity']>

const countSchema = v.pipe(WholeNumberSchema, v.minValue(0))

const CapacitySchema = v.pipe(
  v.object({
    total: countSchema,
    used: countSchema,
    available: countSchema,
    max_replicas: v.fallback(v.optional(countSchema), undefined),
  }),
  v.transform(({ total, used, available, max_replicas: maxReplicas }): Capacity => {
    return { total, used, available, ...(maxReplicas === undefined ? {} : { maxReplicas }) }
  }),
)
const VpnSchema = v.object({ connected: v.fallback(v.optional(v.boolean()), undefined) })
/** 2025-10 and 2026-04 send a text here and the block in `blocked_reason_details`; v1 sends the block here. */
const ReasonSchema = v.fallback(v.optional(v.union([v.string(), BlockSchema])), undefined)

const ProvisioningSchema = v.pipe(
  v.object({
    // Only `false` blocks provisioning: an unknown status that counted as "no" once rejected 71 viewers (H13).
    can_provision: v.optional(v.unknown()),
    blocked_reason: ReasonSchema,
    blocked_reason_details: v.fallback(v.optional(BlockSchema), undefined),
    last_failure: v.optional(v.unknown()),
  }),
  v.transform((wire): OrchestratorHealth['provisioning'] => {
    const canProvision = wire.can_provision !== false
    const { blocked_reason: given } = wire
    const text = typeof given === 'string' && given !== '' ? given : undefined
    const block: Block = { ...(typeof given === 'object' ? given : {}), ...wire.blocked_reason_details }
    const code = block.code ?? (text === undefined ? undefined : inferCode(text))
    const reason = text ?? block.message
    const retryAfterMs = etaMsOf(block) ?? (block.code === undefined && code !== undefined ? defaultsForCode(code).etaMs : undefined)
    const lastFailureMs = parseTimestamp(wire.last_failure)
    return {
      canProvision,
      ...(lastFailureMs === undefined ? {} : { lastFailureAt: new Date(lastFailureMs) }),
      ...(code === undefined ? {} : { code }),
      ...(reason === undefined ? {} : { reason }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      shouldWait: block.should_wait ?? (canProvision || (code !== undefined && defaultsForCode(code).shouldWait)),
    }
  }),
)

/** The answer to `GET /orchestrator/status`. */
export const HealthSchema: v.GenericSchema<unknown, OrchestratorStatus> = v.pipe(
  v.object({
    status: v.string(),
    capacity: v.fallback(v.optional(CapacitySchema), undefined),
    vpn: v.fallback(v.optional(VpnSchema), undefined),
    provisioning: v.nullish(ProvisioningSchema, {}),
  }),
  v.transform(
    ({ status, capacity, vpn, provisioning }): OrchestratorStatus => ({
      status: status === 'healthy' || status === 'degraded' || status === 'unavailable' ? status : 'unknown',
      ...(vpn?.connected === undefined ? {} : { vpnConnected: vpn.connected }),
      ...(capacity === undefined ? {} : { capacity }),
      provisioning,
    }),
  ),
)

/** The answer to `GET /circuit-breaker` (v1). Only the circuit breaker for provisioning is used. */
export const ProvisioningBreakerSchema: v.GenericSchema<unknown, ProvisioningBreaker> = v.pipe(
  v.object({
    general: v.object({ state: v.string(), recovery_timeout: v.optional(v.unknown()), last_failure_time: v.optional(v.unknown()) }),
  }),
  v.transform(({ general }) => {
    const { recovery_timeout } = general
    return {
      open: general.state === 'open',
      recoveryMs: typeof recovery_timeout === 'number' && recovery_timeout >= 0 ? recovery_timeout * 1_000 : undefined,
      lastFailureAt: parseTimestamp(general.last_failure_time),
    }
  }),
)
