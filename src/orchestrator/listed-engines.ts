import * as v from 'valibot'
import type { Engine } from '../model/engine.ts'
import type { Stream } from '../model/stream.ts'
import type { Entries } from './schemas.ts'
import type { Unreadable } from './unreadable.ts'
import { BAD_ADDRESS, type OnLeftOut, type UnreadableEntry } from './unreadable.ts'

const REPEATED = 'listed more than once'

/**
 * The engines of a list, with the ids of their streams: their own, or those that the stream list puts on them.
 *
 * @param streams the stream list, where the engines do not name their streams (v1)
 */
export function engineListFrom(engines: Entries<EngineRecord>, streams: Entries<Stream> | undefined, onLeftOut?: OnLeftOut): ListedEngines {
  const left: { engines: UnreadableEntry[]; streams: UnreadableEntry[] } = {
    engines: [...engines.unreadable],
    streams: [...(streams?.unreadable ?? [])],
  }
  const records = streams === undefined ? engines.entries : withStreams(engines.entries, streams.entries)
  const byId = new Map<string, EngineRecord>()
  for (const record of records) {
    const { containerId } = record
    const known = byId.get(containerId)
    if (!isAddressable(record)) left.engines.push({ id: containerId, cause: BAD_ADDRESS })
    else byId.set(containerId, known === undefined ? record : merged(known, record))
    if (known !== undefined) onLeftOut?.('engine', { id: containerId, cause: REPEATED })
  }
  for (const entry of left.engines) onLeftOut?.('engine', entry)
  for (const entry of left.streams) onLeftOut?.('stream', entry)
  return Object.freeze({
    engines: Object.freeze(Array.from(byId.values(), engineFromRecord)),
    ...(streams === undefined ? {} : { streams: eachOnce(streams.entries, onLeftOut) }),
    ...(left.engines.length + left.streams.length === 0 ? {} : { unreadable: left }),
  })
}

/** Streams with each id once: an entry that is live before one that has ended, else the first. */
export function eachOnce(streams: readonly Stream[], onLeftOut?: OnLeftOut): readonly Stream[] {
  const byId = new Map<string, Stream>()
  for (const stream of streams) {
    const known = byId.get(stream.id)
    if (known === undefined || (known.status === 'ended' && stream.status !== 'ended')) byId.set(stream.id, stream)
    if (known !== undefined) onLeftOut?.('stream', { id: stream.id, cause: REPEATED })
  }
  return byId.size === streams.length ? streams : [...byId.values()]
}

/**
 * An engine that is listed twice counts once. The first entry wins, whatever the others hold: a choice by content would change from list to
 * list. But all streams of all entries count, and any entry may say that it is draining, so that it never looks emptier than it is.
 */
function merged(first: EngineRecord, other: EngineRecord): EngineRecord {
  return {
    ...first,
    streamIds: [...new Set([...first.streamIds, ...other.streamIds])],
    draining: first.draining || other.draining,
  }
}

/** The records with the ids of the streams that the stream list puts on them, in place of their own. */
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

/** The engine ids that a list names, whether or not the entry could be used. */
export function namedEngines({ engines, unreadable }: Pick<ListedEngines, 'unreadable'> & { engines: readonly Engine[] }): Set<string> {
  const ids = new Set(engines.map(({ containerId }) => containerId))
  for (const { id } of unreadable?.engines ?? []) if (id !== undefined) ids.add(id)
  return ids
}

/** An {@link Engine} as plain JSON: what a cache outside this process keeps. Timestamps are milliseconds since the epoch. */
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

const DATE_FIELDS = ['firstSeen', 'lastSeen', 'lastHealthCheck', 'lastStreamUsage'] as const
const LATEST_DATE_MS = 8.64e15
const HIGHEST_PORT = 65_535

const NameSchema = v.pipe(v.string(), v.nonEmpty())
/** A whole number; written as text, it is one too. */
export const WholeNumberSchema: v.GenericSchema<unknown, number> = v.pipe(v.unknown(), v.transform(asNumber), v.number(), v.integer())
const EpochMsSchema = v.exactOptional(v.pipe(v.number(), v.minValue(-LATEST_DATE_MS), v.maxValue(LATEST_DATE_MS)))

/** A whole number that was written as text, as a number; any other value as it is. */
export function asNumber(value: unknown): unknown {
  return typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value
}

/** Whether an engine could be connected to there: engines that other proxies invented are listed with ports like -1 (hazard 8). */
function isAddressable(address: { host: string; port: number }): boolean {
  return address.host !== '' && Number.isInteger(address.port) && address.port >= 1 && address.port <= HIGHEST_PORT
}

/** Text labels of whatever was sent as labels: values that are not text are left out, and so is the key `__proto__`. */
export function labelsFrom(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {}
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string' && entry[0] !== '__proto__'),
  )
}

/** Checks records that come back from a cache which others may write to. */
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

/**
 * Makes the engine that callers share: frozen throughout. A `Date` cannot be frozen, so each of its dates is read through an accessor that
 * gives everyone a `Date` of their own.
 */
export function engineFromRecord(record: EngineRecord): Engine {
  const engine: Engine = {
    containerId: record.containerId,
    ...(record.containerName === undefined ? {} : { containerName: record.containerName }),
    host: record.host,
    port: record.port,
    healthStatus: record.healthStatus,
    forwarded: record.forwarded,
    draining: record.draining,
    ...(record.vpnContainer === undefined ? {} : { vpnContainer: record.vpnContainer }),
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

/** The record from which {@link engineFromRecord} makes this engine again. */
export function engineToRecord(engine: Engine): EngineRecord {
  const record: EngineRecord = {
    containerId: engine.containerId,
    ...(engine.containerName === undefined ? {} : { containerName: engine.containerName }),
    host: engine.host,
    port: engine.port,
    healthStatus: engine.healthStatus,
    forwarded: engine.forwarded,
    draining: engine.draining,
    ...(engine.vpnContainer === undefined ? {} : { vpnContainer: engine.vpnContainer }),
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

/** A refresh of the engine list. */
export interface ListedEngines {
  readonly engines: readonly Engine[]
  /** All streams, where the engines do not name theirs, so that both had to be asked for (v1). */
  readonly streams?: readonly Stream[]
  /** The entries of both that were left out, where there are any. */
  readonly unreadable?: Unreadable
}
