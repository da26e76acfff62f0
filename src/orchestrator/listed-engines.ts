import * as v from 'valibot'
import type { Engine } from '../model/engine.ts'
import type { Stream } from '../model/stream.ts'
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
 * Makes an engine list of the entries that were read. It contains each engine once, if the engine has an address. The stream ids of an engine come
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
  const records = streams === undefined ? engines.entries : withStreams(engines.entries, streams.entries)
  const byId = new Map<string, EngineRecord>()
  for (const record of records) {
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
    ...(streams === undefined ? {} : { streams: eachOnce(streams.entries, onLeftOut) }),
    ...(leftOut.engines.length + leftOut.streams.length === 0 ? {} : { unreadable: leftOut }),
  })
}

/** Returns the streams with each id once: a live entry if there is one, otherwise the first entry. */
export function eachOnce(streams: readonly Stream[], onLeftOut?: OnLeftOut): readonly Stream[] {
  const byId = new Map<string, Stream>()
  for (const stream of streams) {
    const known = byId.get(stream.id)
    if (known === undefined || (known.status === 'ended' && stream.status !== 'ended')) byId.set(stream.id, stream)
    if (known !== undefined) onLeftOut?.('stream', { id: stream.id, cause: REPEATED })
  }
  return byId.size === streams.length ? streams : [...byId.values()]
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

/** Adds the ids of live streams to the records, by the engine that the stream list names for each stream. */
function withStreams(records: readonly EngineRecord[], streams: readonly Stream[]): EngineRecord[] {
  const live = new Map<string, Set<string>>()
  for (const { status, containerId, id } of streams) {
    if (status === 'ended') continue
    const ids = live.get(containerId)
    if (ids === undefined) live.set(containerId, new Set([id]))
    else ids.add(id)
  }
  return records.map((record) => ({ ...record, streamIds: [...(live.get(record.containerId) ?? [])] }))
}

const DATE_FIELDS = ['firstSeen', 'lastSeen', 'lastHealthCheck', 'lastStreamUsage'] as const
const LATEST_DATE_MS = 8.64e15
const HIGHEST_PORT = 65_535

/** Whether a connection to an engine is possible. Starts of other proxies leave engines with ports like -1 in the list (H8). */
function isAddressable({ host, port }: { host: string; port: number }): boolean {
  return host !== '' && Number.isInteger(port) && port >= 1 && port <= HIGHEST_PORT
}

/**
 * Makes the {@link Engine} of a record. All callers share it, so it is frozen. A `Date` cannot be frozen: each access to a date returns a new
 * one.
 */
export function engineFromRecord(record: EngineRecord): Engine {
  const { containerName, vpnContainer } = record
  const engine: Engine = {
    containerId: record.containerId,
    ...(containerName === undefined ? {} : { containerName }),
    host: record.host,
    port: record.port,
    healthStatus: record.healthStatus,
    forwarded: record.forwarded,
    draining: record.draining,
    ...(vpnContainer === undefined ? {} : { vpnContainer }),
    streamIds: Object.freeze([...record.streamIds]),
    streamCount: record.streamCount,
    labels: Object.freeze(labelsFrom(record.labels)),
  }
  for (const field of DATE_FIELDS) {
    const at = record[field]
    if (at !== undefined) Object.defineProperty(engine, field, { enumerable: true, get: () => new Date(at) })
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

const NameSchema = v.pipe(v.string(), v.nonEmpty())
const EpochMsSchema = v.exactOptional(v.pipe(v.number(), v.minValue(-LATEST_DATE_MS), v.maxValue(LATEST_DATE_MS)))

/** A whole number, or the text of one. */
export const WholeNumberSchema: v.GenericSchema<unknown, number> = v.pipe(v.unknown(), v.transform(asNumber), v.number(), v.integer())

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

/** Converts a whole number that was written as text. Returns any other value unchanged. */
export function asNumber(value: unknown): unknown {
  return typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value
}

/** The labels whose values are texts, without the key `__proto__`. Empty for any value that is not an object. */
export function labelsFrom(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {}
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string' && entry[0] !== '__proto__'),
  )
}
