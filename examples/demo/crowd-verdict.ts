import { conclude, type PromiseKept } from './promises.ts'
import type { ProxyExit } from './proxy-process.ts'
import { bytesOf, countOf } from './screen.ts'
import { reasons, sharing } from './verdict.ts'
import type { Viewer } from './viewer.ts'
import type { EngineRow, InsideView } from './world.ts'

/** Everything that the verdict needs, after the proxy has stopped. */
export interface CrowdOutcome {
  viewers: readonly Pick<Viewer, 'state' | 'reason' | 'bytes' | 'waitedMs'>[]
  /** Number of different contents. */
  contents: number
  /** The engines when every viewer had a response. */
  engines: readonly EngineRow[]
  /** Limit of streams per engine that the verdict checks. */
  limit: number
  inside: InsideView
  proxy: ProxyExit
  /** Streams that the orchestrator still lists. */
  left: readonly string[]
}

/** Returns the lines of the verdict, and whether every promise was kept. */
export function crowdVerdict(outcome: CrowdOutcome): { lines: string[]; isKept: boolean } {
  return conclude(figures(outcome), check(outcome))
}

function check({ viewers, contents, engines, limit, inside, proxy, left }: CrowdOutcome): PromiseKept[] {
  const { startsApplied = 0, endsApplied = 0, enginePeak = 0, sessionsLeft = 0, sessionsOpened = 0, provisionRequests = 0 } = inside
  const peak = Math.max(0, ...engines.map((engine) => engine.peak))
  const served = countOf(viewers, 'served')
  return [
    { isKept: peak <= limit, text: `no engine had more than ${limit} streams (most: ${peak}, as the orchestrator counted)` },
    { isKept: enginePeak <= limit, text: `no engine had more than ${limit} sessions open (most: ${enginePeak}, as the engines counted)` },
    { isKept: served === viewers.length, text: `every viewer was served (${served} of ${viewers.length})` },
    {
      isKept: sessionsOpened === contents && startsApplied === contents,
      text: `the viewers of a content shared one session (${sessionsOpened} sessions and ${startsApplied} starts for ${contents} contents)`,
    },
    { isKept: provisionRequests === 0, text: `no engine was requested, because there was room (${provisionRequests} requests)` },
    {
      isKept: startsApplied === endsApplied,
      text: `every stream that was started was ended (${startsApplied} starts, ${endsApplied} ends)`,
    },
    { isKept: left.length === 0 && sessionsLeft === 0, text: `nothing was left behind (${left.length} streams, ${sessionsLeft} sessions)` },
    { isKept: proxy.exitCode === 0, text: `the proxy exited with 0 after SIGTERM (exited with ${proxy.exitCode})` },
  ]
}

function figures({ viewers, engines, inside, proxy }: CrowdOutcome): string[] {
  const waits = viewers.map(({ waitedMs }) => waitedMs).toSorted((a, b) => a - b)
  const wait = (share: number): string => `${Math.round(waits[Math.min(waits.length - 1, Math.floor(waits.length * share))] ?? 0)} ms`
  return [
    `viewers   ${viewers.length} came, ${countOf(viewers, 'served')} served${reasons(viewers, 'refused')}${reasons(viewers, 'failed')}`,
    `waits     ${wait(0.5)} median, ${wait(0.99)} for 99 %, ${wait(1)} maximum, until the first bytes`,
    `bytes     ${bytesOf(viewers).toLocaleString('en-US')} read`,
    sharing(proxy, inside.sessionsOpened ?? 0),
    `engines   ${engines.length}; peaks ${engines.map(({ peak }) => peak).join(' ')}`,
    `requests  ${inside.requests ?? 0} to the orchestrator`,
    `shutdown  ${(proxy.tookMs / 1000).toFixed(1)} s`,
  ]
}
