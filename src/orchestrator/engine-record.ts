import * as v from 'valibot'
import type { Engine } from '../model/domain.ts'

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
export function isAddressable(address: { host: string; port: number }): boolean {
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
