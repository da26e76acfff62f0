import { conclude, type PromiseKept } from './promises.ts'
import type { ProxyExit } from './proxy-process.ts'
import { countOf } from './screen.ts'
import { reasons } from './verdict.ts'
import type { Viewer } from './viewer.ts'
import type { EngineRow, InsideView } from './world.ts'

/** Everything that the verdict needs, after the proxy has stopped. */
export interface RushOutcome {
  viewers: readonly Viewer[]
  /** The engines when every viewer had a response. */
  engines: readonly EngineRow[]
  firstEngineCount: number
  /** Number of engines when the first viewer was refused. */
  engineCountAtRefusal: number
  maxEngines: number
  /** Limit of streams per engine that the proxy used. */
  realLimit: number
  /** Limit of streams per engine that the verdict checks. */
  limit: number
  inside: InsideView
  proxy: ProxyExit
  /** Streams that the orchestrator still lists. */
  left: readonly string[]
}

/** Requests that the Go client makes for each viewer without a slot. */
const GO_CLIENT_ATTEMPTS = 3

/** Returns the lines of the verdict, and whether every promise was kept. */
export function rushVerdict(outcome: RushOutcome): { lines: string[]; isKept: boolean } {
  return conclude(figures(outcome), check(outcome))
}

function check(outcome: RushOutcome): PromiseKept[] {
  const { viewers, engines, firstEngineCount, engineCountAtRefusal, maxEngines, realLimit, limit, inside, proxy, left } = outcome
  const { startsApplied = 0, endsApplied = 0, enginePeak = 0, sessionsLeft = 0, provisionRequests = 0 } = inside
  const peak = Math.max(0, ...engines.map((engine) => engine.peak))
  const served = countOf(viewers, 'served')
  const unanswered = viewers.filter(({ state, reason }) => state !== 'served' && (state !== 'refused' || reason === ''))
  const slots = Math.min(viewers.length, engineCountAtRefusal * realLimit)
  const needed = Math.ceil((viewers.length - firstEngineCount * realLimit) / realLimit)
  const created = engines.length - firstEngineCount
  return [
    { isKept: peak <= limit, text: `no engine had more than ${limit} streams (most: ${peak}, as the orchestrator counted)` },
    { isKept: enginePeak <= limit, text: `no engine had more than ${limit} sessions open (most: ${enginePeak}, as the engines counted)` },
    { isKept: unanswered.length === 0, text: `every viewer got bytes, or a reason and a Retry-After (${unanswered.length} did not)` },
    { isKept: served >= slots, text: `no viewer was refused while a slot was free (${served} served, ${slots} slots at that time)` },
    { isKept: engines.length <= maxEngines, text: `no more engines were created than allowed (${engines.length} of ${maxEngines})` },
    {
      isKept: created <= needed && provisionRequests <= created + maxEngines,
      text: `engines were requested as needed, not for each viewer (${provisionRequests} requests for ${created} engines)`,
    },
    {
      isKept: startsApplied === endsApplied,
      text: `every stream that was started was ended (${startsApplied} starts, ${endsApplied} ends)`,
    },
    { isKept: left.length === 0 && sessionsLeft === 0, text: `nothing was left behind (${left.length} streams, ${sessionsLeft} sessions)` },
    { isKept: proxy.exitCode === 0, text: `the proxy exited with 0 after SIGTERM (exited with ${proxy.exitCode})` },
  ]
}

function figures({ viewers, engines, firstEngineCount, realLimit, inside, proxy }: RushOutcome): string[] {
  const { requested = 0, completed = 0, refused = 0 } = proxy.metrics?.provisioning ?? {}
  const withoutSlot = Math.max(0, viewers.length - firstEngineCount * realLimit)
  const naive = `${GO_CLIENT_ATTEMPTS} requests for each viewer without a slot, as the Go client sends, would be ${withoutSlot * GO_CLIENT_ATTEMPTS}`
  return [
    `viewers   ${viewers.length} came, ${countOf(viewers, 'served')} served${reasons(viewers, 'refused')}${reasons(viewers, 'failed')}`,
    `waits     served ${waits(viewers, 'served')}; refused ${waits(viewers, 'refused')}`,
    `engines   ${firstEngineCount} at first, ${engines.length - firstEngineCount} created; peaks ${engines.map(({ peak }) => peak).join(' ')}`,
    `requests  ${inside.provisionRequests ?? requested} for new engines, ${completed} succeeded and ${refused} failed; ${naive}`,
    `shutdown  ${(proxy.tookMs / 1000).toFixed(1)} s`,
  ]
}

function waits(viewers: readonly Viewer[], state: 'served' | 'refused'): string {
  const all = viewers
    .filter((viewer) => viewer.state === state)
    .map(({ waitedMs }) => waitedMs)
    .toSorted((a, b) => a - b)
  if (all.length === 0) return 'none'
  const at = (share: number): string => `${((all[Math.min(all.length - 1, Math.floor(all.length * share))] ?? 0) / 1_000).toFixed(1)} s`
  return `${at(0)} minimum, ${at(0.5)} median, ${at(1)} maximum`
}
