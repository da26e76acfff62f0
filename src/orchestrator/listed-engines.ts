import type { Engine } from '../model/engine.ts'
import type { Stream } from '../model/stream.ts'
import {
  Mismatch,
  readArrayOf,
  readBoolean,
  readField,
  readFieldIfPresent,
  readId,
  readNumber,
  readObject,
  readText,
  readWholeNumber,
  type WireObject,
} from './decoding.ts'
import { BAD_ADDRESS, type Entries, type OnLeftOut, type Unreadable, type UnreadableEntry } from './unreadable-entries.ts'

/** The engines that the orchestrator listed. */
export interface ListedEngines {
  readonly engines: readonly Engine[]
  /** All streams, if the stream list had to be read too, because the engines do not name their streams (v1). */
  readonly streams?: readonly Stream[]
  /** The entries of both lists that were left out; absent if there are none. */
  readonly unreadable?: Unreadable
}

/** An {@link Engine} as plain JSON, for a cache outside this process. Dates are milliseconds since the epoch. */
export interface EngineRecord {
  containerId: string
  containerName?: string
  host: string
  port: number
  healthStatus: 'healthy' | 'unhealthy' | 'unknown'
  forwarded: boolean
  draining: boolean
  vpnContainer?: string
  streamIds: readonly string[]
  streamCount: number
  labels: Readonly<Record<string, string>>
  firstSeen?: number
  lastSeen?: number
  lastHealthCheck?: number
  lastStreamUsage?: number
}

const REPEATED = 'listed more than once'

/**
 * Makes an engine list of the entries that were read, and takes them over: nobody may use the entries afterwards. It contains each engine once, if the engine has an address. The stream ids of an engine come
 * from its own entry, or from the stream list.
 *
 * @param streams the stream list, if the engines do not name their streams (v1)
 * @param onLeftOut called for each entry that is not used
 */
export function engineListFrom(engines: Entries<EngineRecord>, streams: Entries<Stream> | undefined, onLeftOut?: OnLeftOut): ListedEngines {
  const leftOut: { engines: UnreadableEntry[]; streams: UnreadableEntry[] } = {
    engines: [...engines.unreadable],
    streams: [...(streams?.unreadable ?? [])],
  }
  if (streams !== undefined) setStreamIds(engines.entries, streams.entries)
  const byId = new Map<string, EngineRecord>()
  for (const record of engines.entries) {
    const { containerId } = record
    const known = byId.get(containerId)
    if (!isAddressable(record)) leftOut.engines.push({ id: containerId, cause: BAD_ADDRESS })
    else byId.set(containerId, known === undefined ? record : merged(known, record))
    if (known !== undefined) onLeftOut?.('engine', { id: containerId, cause: REPEATED })
  }
  for (const entry of leftOut.engines) onLeftOut?.('engine', entry)
  for (const entry of leftOut.streams) onLeftOut?.('stream', entry)
  return Object.freeze({
    engines: Object.freeze(Array.from(byId.values(), engineFromRecord)),
    ...(streams === undefined ? {} : { streams: [...streamsById(streams.entries, onLeftOut).values()] }),
    ...(leftOut.engines.length + leftOut.streams.length === 0 ? {} : { unreadable: leftOut }),
  })
}

/** Returns the streams by id, in the order of the list: of each id a live entry if there is one, otherwise the first entry. */
export function streamsById(streams: readonly Stream[], onLeftOut?: OnLeftOut): Map<string, Stream> {
  const byId = new Map<string, Stream>()
  for (const stream of streams) byId.set(stream.id, stream)
  if (byId.size === streams.length) return byId
  byId.clear()
  for (const stream of streams) {
    const known = byId.get(stream.id)
    if (known === undefined || (known.status === 'ended' && stream.status !== 'ended')) byId.set(stream.id, stream)
    if (known !== undefined) onLeftOut?.('stream', { id: stream.id, cause: REPEATED })
  }
  return byId
}

/** Returns the ids of all engines in a list, including the engines that were left out. */
export function namedEngines({ engines, unreadable }: Pick<ListedEngines, 'engines' | 'unreadable'>): Set<string> {
  const ids = new Set(engines.map(({ containerId }) => containerId))
  for (const { id } of unreadable?.engines ?? []) if (id !== undefined) ids.add(id)
  return ids
}

/**
 * Merges two entries of one engine. The first entry wins, because a choice by content could differ from list to list. But the streams of both entries
 * count, and the engine drains if either entry says so: no engine may seem to have more room than it has.
 */
function merged(first: EngineRecord, second: EngineRecord): EngineRecord {
  return {
    ...first,
    streamIds: [...new Set([...first.streamIds, ...second.streamIds])],
    draining: first.draining || second.draining,
  }
}

/** Sets the ids of live streams in the records, by the engine that the stream list names for each stream. */
function setStreamIds(records: readonly EngineRecord[], streams: readonly Stream[]): void {
  const live = new Map<string, Set<string>>()
  for (const { status, containerId, id } of streams) {
    if (status === 'ended') continue
    const ids = live.get(containerId)
    if (ids === undefined) live.set(containerId, new Set([id]))
    else ids.add(id)
  }
  for (const record of records) record.streamIds = [...(live.get(record.containerId) ?? [])]
}

const DATE_FIELDS = ['firstSeen', 'lastSeen', 'lastHealthCheck', 'lastStreamUsage'] as const
const LATEST_DATE_MS = 8.64e15
const HIGHEST_PORT = 65_535

/** Whether a connection to an engine is possible. Starts of other proxies leave engines with ports like -1 in the list (H8). */
function isAddressable({ host, port }: { host: string; port: number }): boolean {
  return host !== '' && Number.isInteger(port) && port >= 1 && port <= HIGHEST_PORT
}

/** Holds the dates of an engine, in milliseconds. Not enumerable, so that a copy or a text of the engine does not show it. */
const DATES = Symbol('dates')
type Dates = Partial<Record<(typeof DATE_FIELDS)[number], number>>

/** One property per date, shared by all engines: a getter for each engine would cost more than the rest of the engine. */
const DATE_PROPERTIES = DATE_FIELDS.map((field) => {
  function get(this: { readonly [DATES]: Dates }): Date {
    return new Date(this[DATES][field] ?? Number.NaN)
  }
  return [field, { enumerable: true, get }] as const
})

/**
 * Makes the {@link Engine} of a record, which takes over the record's stream ids and labels. All callers share it, so it is frozen. A `Date`
 * cannot be frozen: each access to a date returns a new one.
 */
export function engineFromRecord(record: EngineRecord): Engine {
  const { containerName, vpnContainer } = record
  const engine: { -readonly [Key in keyof Engine]: Engine[Key] } = {
    containerId: record.containerId,
    host: record.host,
    port: record.port,
    healthStatus: record.healthStatus,
    forwarded: record.forwarded,
    draining: record.draining,
    streamIds: Object.freeze(record.streamIds),
    streamCount: record.streamCount,
    labels: Object.freeze(record.labels),
  }
  if (containerName !== undefined) engine.containerName = containerName
  if (vpnContainer !== undefined) engine.vpnContainer = vpnContainer
  Object.defineProperty(engine, DATES, { value: record })
  for (const [field, property] of DATE_PROPERTIES) {
    if (record[field] !== undefined) Object.defineProperty(engine, field, property)
  }
  return Object.freeze(engine)
}

/** The record of an engine: the inverse of {@link engineFromRecord}. */
export function engineToRecord(engine: Engine): EngineRecord {
  const { containerName, vpnContainer } = engine
  const record: EngineRecord = {
    containerId: engine.containerId,
    ...(containerName === undefined ? {} : { containerName }),
    host: engine.host,
    port: engine.port,
    healthStatus: engine.healthStatus,
    forwarded: engine.forwarded,
    draining: engine.draining,
    ...(vpnContainer === undefined ? {} : { vpnContainer }),
    streamIds: [...engine.streamIds],
    streamCount: engine.streamCount,
    labels: { ...engine.labels },
  }
  for (const field of DATE_FIELDS) {
    const at = engine[field]?.getTime()
    if (at !== undefined && !Number.isNaN(at)) record[field] = at
  }
  return record
}

const HEALTH_STATUSES = ['healthy', 'unhealthy', 'unknown'] as const

function readHealthStatus(value: unknown): EngineRecord['healthStatus'] {
  const status = HEALTH_STATUSES.find((known) => known === value)
  if (status === undefined) throw new Mismatch('("healthy" | "unhealthy" | "unknown")')
  return status
}

function readStreamCount(value: unknown): number {
  const count = readNumber(value)
  if (!Number.isInteger(count)) throw new Mismatch('integer')
  return readNumber(count, 0)
}

function readPort(value: unknown): number {
  return readNumber(readWholeNumber(value), 1, HIGHEST_PORT)
}

function readName(cached: WireObject, field: 'containerName' | 'vpnContainer'): Partial<EngineRecord> {
  const name = readFieldIfPresent(cached, field, readText)
  return name === undefined ? {} : { [field]: name }
}

function readDate(value: unknown): number {
  return readNumber(value, -LATEST_DATE_MS, LATEST_DATE_MS)
}

/** Reads a record that comes from a cache, to which other programs may write. The result shares nothing with it. */
export function readEngineRecord(value: unknown): EngineRecord {
  const cached = readObject(value)
  const record: EngineRecord = {
    containerId: readField(cached, 'containerId', readId),
    ...readName(cached, 'containerName'),
    host: readField(cached, 'host', readId),
    port: readField(cached, 'port', readPort),
    healthStatus: readField(cached, 'healthStatus', readHealthStatus),
    forwarded: readField(cached, 'forwarded', readBoolean),
    draining: readField(cached, 'draining', readBoolean),
    ...readName(cached, 'vpnContainer'),
    streamIds: readField(cached, 'streamIds', (ids) => readArrayOf(ids, readText)),
    streamCount: readField(cached, 'streamCount', readStreamCount),
    labels: readField(cached, 'labels', labelsFrom),
  }
  for (const field of DATE_FIELDS) {
    const at = readFieldIfPresent(cached, field, readDate)
    if (at !== undefined) record[field] = at
  }
  return record
}

/** The labels whose values are texts, without the key `__proto__`. Empty for any value that is not an object. */
export function labelsFrom(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {}
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string' && entry[0] !== '__proto__'),
  )
}

/**
 * {@link labelsFrom} for a value that nobody else has, as `JSON.parse` returns it. Returns the value itself if all its labels are used.
 */
export function ownLabels(value: unknown): Readonly<Record<string, string>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {}
  const labels = value as Readonly<Record<string, unknown>>
  for (const name in labels) {
    if (typeof labels[name] !== 'string' || name === '__proto__') return labelsFrom(labels)
  }
  return labels as Readonly<Record<string, string>>
}
