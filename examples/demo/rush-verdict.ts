import { conclude, type PromiseKept } from './promises.ts'
import type { ProxyExit } from './proxy-process.ts'
import { countOf } from './screen.ts'
import { reasons } from './verdict.ts'
import type { Viewer } from './viewer.ts'
import type { EngineRow, InsideView } from './world.ts'

/** All that is known when the rush is over. */
export interface RushOutcome {
  viewers: readonly Viewer[]
  /** As they were when everybody had an answer. */
  engines: readonly EngineRow[]
  firstEngineCount: number
  /** How many there were when the first viewer was refused. */
  engineCountAtRefusal: number
  mostEngines: number
  /** Streams per engine, as the proxy was told. */
  realLimit: number
  /** Streams per engine, as is checked. */
  limit: number
  inside: InsideView
  proxy: ProxyExit
  /** Streams that the orchestrator still lists. */
  left: readonly string[]
}

/** As the Go client had it: each viewer in vain made three requests. */
const THEIR_ATTEMPTS = 3

/** The end of the rush: what was seen, and whether every promise was kept. */
export function rushVerdict(outcome: RushOutcome): { lines: string[]; isKept: boolean } {
  return conclude(figures(outcome), check(outcome))
}

function check(outcome: RushOutcome): PromiseKept[] {
  const { viewers, engines, firstEngineCount, engineCountAtRefusal, mostEngines, realLimit, limit, inside, proxy, left } = outcome
  const { startsApplied = 0, endsApplied = 0, enginePeak = 0, sessionsLeft = 0, provisionRequests = 0 } = inside
  const peak = Math.max(0, ...engines.map((engine) => engine.peak))
  const served = countOf(viewers, 'served')
  const silent = viewers.filter(({ state, reason }) => state !== 'served' && (state !== 'refused' || reason === ''))
  const slots = Math.min(viewers.length, engineCountAtRefusal * realLimit)
  const needed = Math.ceil((viewers.length - firstEngineCount * realLimit) / realLimit)
  const created = engines.length - firstEngineCount
  return [
    { isKept: peak <= limit, text: `no engine had more than ${limit} streams (most: ${peak}, as the orchestrator saw it)` },
    { isKept: enginePeak <= limit, text: `no engine had more than ${limit} sessions open (most: ${enginePeak}, as the engines saw it)` },
    { isKept: silent.length === 0, text: `every viewer got bytes, or a reason and a time to come back (${silent.length} did not)` },
    { isKept: served >= slots, text: `nobody was refused while there was room (${served} served, ${slots} slots then)` },
    { isKept: engines.length <= mostEngines, text: `no engine was created that is not allowed (${engines.length} of ${mostEngines})` },
    {
      isKept: created <= needed && provisionRequests <= created + mostEngines,
      text: `engines were asked for by need, not by viewer (${provisionRequests} requests for ${created} engines)`,
    },
    {
      isKept: startsApplied === endsApplied,
      text: `every stream that was started was ended (${startsApplied} starts, ${endsApplied} ends)`,
    },
    { isKept: left.length === 0 && sessionsLeft === 0, text: `nothing was left behind (${left.length} streams, ${sessionsLeft} sessions)` },
    { isKept: proxy.exitCode === 0, text: `the proxy exited with 0 when told to stop (exited with ${proxy.exitCode})` },
  ]
}

function figures({ viewers, engines, firstEngineCount, realLimit, inside, proxy }: RushOutcome): string[] {
  const { requested = 0, completed = 0, refused = 0 } = proxy.metrics?.provisioning ?? {}
  const inVain = Math.max(0, viewers.length - firstEngineCount * realLimit)
  const naive = `a request for each viewer in vain, ${THEIR_ATTEMPTS} times, as the Go client does, would be ${inVain * THEIR_ATTEMPTS}`
  return [
    `viewers   ${viewers.length} came, ${countOf(viewers, 'served')} served${reasons(viewers, 'refused')}${reasons(viewers, 'failed')}`,
    `waits     served ${waits(viewers, 'served')}; refused ${waits(viewers, 'refused')}`,
    `engines   ${firstEngineCount} at first, ${engines.length - firstEngineCount} created; peaks ${engines.map(({ peak }) => peak).join(' ')}`,
    `requests  ${inside.provisionRequests ?? requested} for new engines: ${completed} came, ${refused} did not; ${naive}`,
    `shutdown  ${(proxy.tookMs / 1000).toFixed(1)} s`,
  ]
}

function waits(viewers: readonly Viewer[], state: 'served' | 'refused'): string {
  const all = viewers
    .filter((viewer) => viewer.state === state)
    .map(({ waitedMs }) => waitedMs)
    .toSorted((a, b) => a - b)
  if (all.length === 0) return 'nobody'
  const at = (share: number): string => `${((all[Math.min(all.length - 1, Math.floor(all.length * share))] ?? 0) / 1_000).toFixed(1)} s`
  return `${at(0)} at least, ${at(0.5)} in the middle, ${at(1)} at most`
}
