import type { Engine } from '../model/engine.ts'
import type { Stream } from '../model/stream.ts'
import { addressOf, type Cell, counted, type Screen, shortId } from './screen.ts'

/** Shows the engines as a table. `limit`: streams that an engine may have. */
export function showEngineList(engines: readonly Engine[], limit: number, screen: Screen): string[] {
  if (engines.length === 0) return ['The orchestrator lists no engine.']
  const rows = engines.map((engine): Cell[] => [
    shortId(engine.containerId),
    addressOf(engine),
    [engine.healthStatus, engine.healthStatus === 'unhealthy' ? 'bad' : 'good'],
    [`${engine.streamIds.length}/${limit}`, engine.streamIds.length >= limit ? 'warning' : 'good'],
    notesOn(engine),
  ])
  return screen.table(['ENGINE', 'ADDRESS', 'HEALTH', 'STREAMS', 'NOTES'], rows)
}

function notesOn({ draining, forwarded, vpnContainer, containerName }: Engine): string {
  const notes = [draining ? 'draining' : '', forwarded ? 'forwarded port' : '', vpnContainer === undefined ? '' : `VPN ${vpnContainer}`]
  return [...notes, containerName ?? ''].filter((note) => note !== '').join(', ')
}

/** Shows the streams as a table. */
export function showStreamList(streams: readonly Stream[], screen: Screen, nowMs: number): string[] {
  if (streams.length === 0) return ['The orchestrator lists no stream.']
  const rows = streams.map((stream): Cell[] => [
    stream.containerId === '' ? '-' : shortId(stream.containerId),
    [stream.status, stream.status === 'started' ? 'good' : 'warning'],
    stream.startedAt === undefined ? '-' : ageOf(nowMs - stream.startedAt.getTime()),
    stream.key === '' ? '-' : shortKey(stream.key),
    stream.id,
  ])
  return screen.table(['ENGINE', 'STATUS', 'AGE', 'CONTENT', 'STREAM'], rows)
}

/** One line about both lists. */
export function summaryLine(engines: readonly Engine[], streams: readonly Stream[], limit: number): string {
  const healthy = engines.filter(({ healthStatus }) => healthStatus === 'healthy').length
  const full = engines.filter(({ streamIds }) => streamIds.length >= limit).length
  return `${counted(engines.length, 'engine')} (${healthy} healthy, ${full} full), ${counted(streams.length, 'stream')}`
}

/** Whether a stream has not ended. */
export function isLive({ status }: Stream): boolean {
  return status !== 'ended'
}

const MAX_KEY = 12

function shortKey(key: string): string {
  return key.length <= MAX_KEY ? key : `${key.slice(0, MAX_KEY - 1)}…`
}

const MS_PER_SECOND = 1_000
const SECONDS_PER_MINUTE = 60
const SECONDS_PER_HOUR = 3_600

function ageOf(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / MS_PER_SECOND))
  if (seconds < SECONDS_PER_MINUTE) return `${seconds} s`
  if (seconds < SECONDS_PER_HOUR) return `${Math.floor(seconds / SECONDS_PER_MINUTE)} min`
  return `${Math.floor(seconds / SECONDS_PER_HOUR)} h ${Math.floor((seconds % SECONDS_PER_HOUR) / SECONDS_PER_MINUTE)} min`
}
