import type { Stream } from '../model/stream.ts'
import type { Redact } from '../runtime/redaction.ts'
import { decode, malformed } from './answers.ts'
import { asNumber, type Decoder, finish, Mismatch, readField, readObject, readWholeNumber, type WireObject } from './decoding.ts'
import { type EngineRecord, engineListFrom, type ListedEngines, ownLabels } from './listed-engines.ts'
import { parseMicroseconds, parseNanoseconds, parseTimestamp } from './timestamps.ts'
import { type Entries, entriesInSlices, nameOf, type OnLeftOut, readEntries } from './unreadable-entries.ts'

/*
 * Fields that decide where viewers go (ids, addresses, stream lists) must have the right type, or the entry is left out. Any other field is used if
 * it has the right type. Unknown fields are ignored. An answer that is not a list, or has no readable entry, is malformed and changes nothing.
 *
 * Lists are long and read often, so their entries are read without intermediate objects, and arrays and labels are kept as `JSON.parse` made them.
 * A property test compares the results with a schema.
 */

/** The text of a field that must exist. */
function textOf(wire: WireObject, key: string): string {
  const value = wire[key]
  if (typeof value === 'string') return value
  throw new Mismatch(key in wire ? 'string' : `"${key}"`, key)
}

function idOf(wire: WireObject, key: string): string {
  const id = textOf(wire, key)
  if (id === '') throw new Mismatch('!0', key)
  return id
}

/** The text of a field that may be missing. Go writes a missing text, list or object as `null`. */
function optionalTextOf(wire: WireObject, key: string): string {
  const value = wire[key] ?? ''
  if (typeof value === 'string') return value
  throw new Mismatch('string', key)
}

/** The ids of a list, each once. */
function uniqueIds(value: unknown): readonly string[] {
  const ids = value ?? []
  if (!Array.isArray(ids)) throw new Mismatch('Array', 'streams')
  for (let index = 0; index < ids.length; index += 1) {
    if (typeof ids[index] !== 'string') throw new Mismatch('string', 'streams', index)
  }
  if (ids.length < 2) return ids
  const unique = new Set<string>(ids)
  return unique.size === ids.length ? ids : [...unique]
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

function readEngine(value: unknown): EngineRecord {
  const wire = readObject(value)
  const containerId = idOf(wire, 'container_id')
  const host = textOf(wire, 'host')
  const { port, health_status: health, stream_count } = wire
  const streamCount = asNumber(stream_count)
  const portNumber = Number.isInteger(port) ? (port as number) : readField(wire, 'port', readWholeNumber)
  const streamIds = uniqueIds(wire['streams'])
  const record: EngineRecord = {
    containerId,
    host,
    port: portNumber,
    healthStatus: health === 'healthy' || health === 'unhealthy' ? health : 'unknown',
    forwarded: wire['forwarded'] === true,
    draining: wire['draining'] === true,
    streamIds,
    streamCount: isCount(streamCount) ? streamCount : streamIds.length,
    labels: ownLabels(wire['labels']),
  }
  const containerName = nameOf(wire['container_name'])
  if (containerName !== undefined) record.containerName = containerName
  const vpnContainer = nameOf(wire['vpn_container'])
  if (vpnContainer !== undefined) record.vpnContainer = vpnContainer
  const firstSeen = parseTimestamp(wire['first_seen'])
  if (firstSeen !== undefined) record.firstSeen = firstSeen
  const lastSeen = parseTimestamp(wire['last_seen'])
  if (lastSeen !== undefined) record.lastSeen = lastSeen
  const lastHealthCheck = parseTimestamp(wire['last_health_check'])
  if (lastHealthCheck !== undefined) record.lastHealthCheck = lastHealthCheck
  const lastStreamUsage = parseTimestamp(wire['last_stream_usage'])
  if (lastStreamUsage !== undefined) record.lastStreamUsage = lastStreamUsage
  return record
}

function identifyEngine({ container_id }: WireObject): { id?: string } {
  const id = nameOf(container_id)
  return id === undefined ? {} : { id }
}

const US_PER_MS = 1_000

type Writable<T> = { -readonly [Key in keyof T]: T[Key] }

function readStream(value: unknown): Stream {
  const wire = readObject(value)
  const stream: Writable<Stream> = {
    id: idOf(wire, 'id'),
    keyType: optionalTextOf(wire, 'key_type'),
    key: optionalTextOf(wire, 'key'),
    containerId: optionalTextOf(wire, 'container_id'),
    playbackSessionId: optionalTextOf(wire, 'playback_session_id'),
    statUrl: optionalTextOf(wire, 'stat_url'),
    commandUrl: optionalTextOf(wire, 'command_url'),
    isLive: wire['is_live'] === true || wire['is_live'] === 1,
    status: textOf(wire, 'status'),
  }
  const startedAtUs = parseMicroseconds(wire['started_at'])
  if (startedAtUs !== undefined) stream.startedAt = new Date(Math.floor(startedAtUs / US_PER_MS))
  const endedAt = parseTimestamp(wire['ended_at'])
  if (endedAt !== undefined) stream.endedAt = new Date(endedAt)
  return startedAtUs === undefined ? stream : Object.defineProperty(stream, 'startedAtUs', { value: startedAtUs })
}

function identifyStream({ id: named, container_id }: WireObject): { id?: string; containerId?: string } {
  const id = nameOf(named)
  const containerId = nameOf(container_id)
  return { ...(id === undefined ? {} : { id }), ...(containerId === undefined ? {} : { containerId }) }
}

const readEngines = (value: unknown): Entries<EngineRecord> => readEntries(value, readEngine, identifyEngine)
const readStreams = (value: unknown): Entries<Stream> => readEntries(value, readStream, identifyStream)

/** The entries of a list, and whether it was wrapped in an object, as on v1's internal port. */
export interface WireList<Entry> extends Entries<Entry> {
  readonly wrapped: boolean
}

/** Returns the array of an answer that is an array, or `{[name]: [...], total}`. */
function unwrap(answer: unknown, name: string): unknown {
  if (Array.isArray(answer)) return answer
  const body = readObject(answer)
  // Go writes an empty list as `null`, but `null` is a list only if `total` is 0.
  return body[name] === null && body['total'] === 0 ? [] : body[name]
}

/** Reads the answer to `GET /engines`. */
export function* engineListInSlices(answer: unknown): Generator<undefined, WireList<EngineRecord>> {
  const entries = yield* entriesInSlices(unwrap(answer, 'engines'), readEngine, identifyEngine)
  return { ...entries, wrapped: !Array.isArray(answer) }
}

/** Reads the answer to `GET /streams`. */
export function* streamListInSlices(answer: unknown): Generator<undefined, WireList<Stream>> {
  const entries = yield* entriesInSlices(unwrap(answer, 'streams'), readStream, identifyStream)
  return { ...entries, wrapped: !Array.isArray(answer) }
}

/** {@link engineListInSlices} without a pause. */
export const readEngineList: Decoder<WireList<EngineRecord>> = (answer) => finish(engineListInSlices(answer))

/** {@link streamListInSlices} without a pause. */
export const readStreamList: Decoder<WireList<Stream>> = (answer) => finish(streamListInSlices(answer))

/** The parts of a pushed message that are used. */
interface PushedMessage {
  /** Whether the message says that a change of state caused it. */
  readonly isStateChange: boolean
  readonly engines: Entries<EngineRecord> | null
  readonly engines_total: unknown
  readonly streams: Entries<Stream> | null
  readonly timestamp: unknown
}

/** Reads the data of a pushed message. */
export function readPush(data: unknown): PushedMessage {
  const { meta, ...message } = readObject(data)
  const isStateChange = typeof meta === 'object' && meta !== null && 'reason' in meta && meta.reason === 'state_change'
  return readField(message, 'payload', (value) => {
    const payload = readObject(value)
    const { engines_total, timestamp } = payload
    const engines = readField(payload, 'engines', (list) => (list === null ? null : readEngines(list)))
    const streams = readField(payload, 'streams', (list) => (list === null ? null : readStreams(list)))
    return { isStateChange, engines, engines_total, streams, timestamp }
  })
}

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
  const push = decode(received, readPush)
  if (push.engines === null && push.engines_total !== 0) throw malformed(received, 'payload.engines: expected Array')
  const takenAtNs = parseNanoseconds(push.timestamp)
  const { streams = [], ...list } = engineListFrom(push.engines ?? NO_ENTRIES, push.streams ?? NO_ENTRIES, onLeftOut)
  return {
    ...list,
    streams,
    isInitial: !push.isStateChange,
    ...(takenAtNs === undefined ? {} : { takenAtNs }),
  }
}
