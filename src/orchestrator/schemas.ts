import * as v from 'valibot'
import type { Redact } from '../runtime/redaction.ts'
import { decode, malformed } from './decode.ts'
import type { Engine, Stream } from './domain.ts'
import { type EngineRecord, engineFromRecord, isAddressable, labelsFrom } from './engine-record.ts'
import { parseNanoseconds, toMicroseconds } from './nanoseconds.ts'
import { parseDate, parseTimestamp } from './timestamps.ts'

/*
 * What decides where viewers go (ids, addresses, stream lists) must have its type, or the whole answer is malformed: a bad answer
 * changes nothing. Everything else is taken where it makes sense and left out where it does not. Unknown fields are ignored.
 */

const IdSchema = v.pipe(v.string(), v.nonEmpty())
const AnythingSchema = v.optional(v.unknown())
/** `null` is how Go writes text, a list or an object that is not there. */
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
    port: v.pipe(v.number(), v.integer()),
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
    const streamIds = wire.streams ?? []
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
      streamCount: isCount(wire.stream_count) ? wire.stream_count : streamIds.length,
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
    return startedAtNs === undefined ? stream : Object.defineProperty(stream, 'startedAtUs', { value: toMicroseconds(startedAtNs) })
  }),
)

/** A list as it came: its entries, and whether it was wrapped in an object, as v1 does on its internal port. */
export interface WireList<Entry> {
  readonly entries: readonly Entry[]
  readonly wrapped: boolean
}

/** An array, or `{[name]: [...], total}`. Go may write an empty list as `null`, but a `null` that does not also say 0 is no list. */
function listSchema<Entry>(name: string, entry: v.GenericSchema<unknown, Entry>): v.GenericSchema<unknown, WireList<Entry>> {
  const bare = v.pipe(
    v.array(entry),
    v.transform((entries) => ({ entries, wrapped: false })),
  )
  const wrapped = v.pipe(
    v.record(v.string(), v.unknown()),
    v.transform((body) => (body[name] === null && body['total'] === 0 ? [] : body[name])),
    v.array(entry),
    v.transform((entries) => ({ entries, wrapped: true })),
  )
  // By shape, not by trying one after the other: an error then names the entry and the field that is wrong.
  return v.lazy((body) => (Array.isArray(body) ? bare : wrapped))
}

/** `GET /engines`. */
export const EngineListSchema: v.GenericSchema<unknown, WireList<EngineRecord>> = listSchema('engines', WireEngineSchema)

/** `GET /streams`. */
export const StreamListSchema: v.GenericSchema<unknown, WireList<Stream>> = listSchema('streams', WireStreamSchema)

/** The records with the ids of the streams that the stream list puts on them, in place of their own. */
export function withStreams(records: readonly EngineRecord[], streams: readonly Stream[]): EngineRecord[] {
  const live = new Map<string, string[]>()
  for (const { status, containerId, id } of streams) {
    if (status === 'ended') continue
    const ids = live.get(containerId)
    if (ids === undefined) live.set(containerId, [id])
    else ids.push(id)
  }
  return records.map((record) => ({ ...record, streamIds: live.get(record.containerId) ?? [] }))
}

/** The engines of a list, without those that other proxies' starts invented at impossible addresses (hazard 8). */
export function enginesFrom(records: readonly EngineRecord[], onSkipped?: (record: EngineRecord) => void): readonly Engine[] {
  const engines: Engine[] = []
  for (const record of records) {
    if (isAddressable(record)) engines.push(engineFromRecord(record))
    else onSkipped?.(record)
  }
  return Object.freeze(engines)
}

const PushSchema = v.object({
  meta: v.fallback(v.object({ reason: AnythingSchema }), { reason: undefined }),
  payload: v.object({
    engines: v.nullable(v.array(WireEngineSchema)),
    engines_total: AnythingSchema,
    streams: v.nullable(v.array(WireStreamSchema)),
    timestamp: AnythingSchema,
  }),
})

/** What one pushed message holds: both lists, taken together. */
export interface PushedLists {
  engines: Engine[]
  streams: Stream[]
  /** When the orchestrator took them, nanoseconds since the epoch, by the clock that also stamps a stream's start. */
  takenAtNs?: bigint
  /** Whether they may have been taken because somebody connected: only `state_change` says that they were not. */
  isInitial: boolean
}

/**
 * Decodes the data of one `full_sync` event of v1's event stream.
 *
 * @throws MalformedResponseError for anything else
 */
export function decodePush(data: string, redact: Redact = (text) => text): PushedLists {
  const received = { label: 'full_sync', body: data, redact }
  const { meta, payload } = decode(received, PushSchema)
  if (payload.engines === null && payload.engines_total !== 0) throw malformed(received, 'payload.engines: expected Array')
  const streams = payload.streams ?? []
  const takenAtNs = parseNanoseconds(payload.timestamp)
  return {
    engines: [...enginesFrom(withStreams(payload.engines ?? [], streams))],
    streams,
    isInitial: meta.reason !== 'state_change',
    ...(takenAtNs === undefined ? {} : { takenAtNs }),
  }
}
