import * as v from 'valibot'
import type { Stream } from '../model/stream.ts'
import type { Redact } from '../runtime/redaction.ts'
import { decode, malformed } from './answers.ts'
import { asNumber, type EngineRecord, engineListFrom, type ListedEngines, labelsFrom, WholeNumberSchema } from './listed-engines.ts'
import { parseDate, parseNanoseconds, parseTimestamp, toMicroseconds } from './timestamps.ts'
import { type Entries, entriesSchema, nameOf, type OnLeftOut } from './unreadable-entries.ts'

/*
 * Fields that decide where viewers go (ids, addresses, stream lists) must have the right type, or the entry is left out. Any other field is used if
 * it has the right type. Unknown fields are ignored. An answer that is not a list, or has no readable entry, is malformed and changes nothing.
 */

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
    return startedAtNs === undefined ? stream : Object.defineProperty(stream, 'startedAtUs', { value: toMicroseconds(startedAtNs) })
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

/** The entries of a list, and whether it was wrapped in an object, as on v1's internal port. */
export interface WireList<Entry> extends Entries<Entry> {
  readonly wrapped: boolean
}

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

const PushSchema = v.object({
  meta: v.fallback(v.object({ reason: AnythingSchema }), { reason: undefined }),
  payload: v.object({
    engines: v.nullable(engineEntries),
    engines_total: AnythingSchema,
    streams: v.nullable(streamEntries),
    timestamp: AnythingSchema,
  }),
})

/** The lists of one pushed message. Both show the same moment. */
export interface PushedLists extends ListedEngines {
  streams: readonly Stream[]
  /** When the orchestrator made them: nanoseconds since the epoch, by the clock that also stamps the starts of streams. */
  takenAtNs?: bigint
  /** Whether they may be the first message of a connection. `false` only for the reason `state_change`. */
  isInitial: boolean
}

const NO_ENTRIES: Entries<never> = { entries: [], unreadable: [] }

/**
 * Reads the data of one `full_sync` event of v1's event stream.
 *
 * @param onLeftOut called for each entry that is left out
 * @throws {@link MalformedResponseError} for any other data
 */
export function decodePush(data: string, redact: Redact = (text) => text, onLeftOut?: OnLeftOut): PushedLists {
  const received = { label: 'full_sync', body: data, redact }
  const { meta, payload } = decode(received, PushSchema)
  if (payload.engines === null && payload.engines_total !== 0) throw malformed(received, 'payload.engines: expected Array')
  const takenAtNs = parseNanoseconds(payload.timestamp)
  const { streams = [], ...list } = engineListFrom(payload.engines ?? NO_ENTRIES, payload.streams ?? NO_ENTRIES, onLeftOut)
  return {
    ...list,
    streams,
    isInitial: meta.reason !== 'state_change',
    ...(takenAtNs === undefined ? {} : { takenAtNs }),
  }
}
