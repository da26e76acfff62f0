import type { Havoc } from './mischief.ts'
import { conclude, type PromiseKept } from './promises.ts'
import type { ProxyExit } from './proxy-process.ts'
import { bytesOf, countOf } from './screen.ts'
import { reasons } from './verdict.ts'
import type { Fate, Viewer } from './viewer.ts'
import type { InsideView } from './world.ts'

/** How a viewer fared. */
export type Report = Pick<Viewer, 'state' | 'reason' | 'bytes' | 'refusals' | 'engineFailures' | 'wrongs' | 'fate'>

/** All that is known when the chaos is over. */
export interface ChaosOutcome {
  viewers: readonly Report[]
  limit: number
  inside: InsideView
  proxy: ProxyExit
  havoc: Havoc
  /** From the end of the chaos until every viewer had its stream and every event was told; `undefined`: that never was so. */
  recoveredAfterMs: number | undefined
  /** Events still to be told when the proxy was told to stop. */
  pending: number
  /** Viewers who waited in vain when the proxy was told to stop. */
  discontent: number
  /** Whether the other proxy's stream was still there. */
  isBystanderAlive: boolean
  /** Streams of the proxy's that the orchestrator still lists. */
  left: readonly string[]
}

/** The other proxy's. Its stream of before the restart was forgotten with the others, that of after came without a request. */
const BYSTANDERS = 1

/** The end of the chaos: what was seen, and whether every promise was kept. */
export function chaosVerdict(outcome: ChaosOutcome): { lines: string[]; isKept: boolean } {
  return conclude(figures(outcome), check(outcome))
}

function check(outcome: ChaosOutcome): PromiseKept[] {
  const { viewers, limit, inside, proxy, havoc, pending, discontent, isBystanderAlive, left } = outcome
  const { startsApplied = 0, repeatedStarts = 0, endsApplied = 0, repeatedEnds = 0, namesakesEnded = 0 } = inside
  const { loadPeak = 0, enginePeak = 0, sessionsLeft = 0, innocentsEnded = 0, enginesInvented = 0 } = inside
  const lives = startsApplied - repeatedStarts
  const forgotten = havoc.forgotten.length
  const { misapplied = Number.NaN, undeliverable = Number.NaN } = proxy.metrics?.events ?? {}
  const undelivered = proxy.report.undelivered?.length ?? Number.NaN
  const failures = viewers.filter(({ state }) => state !== 'served' && state !== 'refused')
  const wrongs = viewers.flatMap((viewer) => viewer.wrongs)
  const dark = viewers.filter(({ fate }) => fate?.fate === 'dark').length
  const kinds = [...havoc.hits.values(), havoc.stalled, havoc.refused, forgotten - BYSTANDERS]
  return [
    {
      isKept: kinds.every((count) => count > 0),
      text: `the orchestrator failed in every way (${kinds.filter(Boolean).length} of ${kinds.length})`,
    },
    { isKept: loadPeak <= limit, text: `no engine had more than ${limit} streams (most: ${loadPeak}, as the orchestrator saw it)` },
    { isKept: enginePeak <= limit, text: `no engine had more than ${limit} sessions open (most: ${enginePeak}, as the engines saw it)` },
    { isKept: failures.length === 0, text: `every viewer got bytes, or was told when to come back (${failures.length} did not)` },
    { isKept: wrongs.length === 0, text: `nobody was cut off whose engine was well (${[wrongs.length, ...new Set(wrongs)].join(', ')})` },
    { isKept: dark === 0, text: `nobody was left in the dark whose engine was replaced (${dark} were)` },
    { isKept: discontent === 0, text: `when it was over, everybody who stayed was watching (${discontent} were not)` },
    { isKept: pending === 0 && undelivered === 0, text: `no event was left untold (${pending} before the shutdown, ${undelivered} after)` },
    { isKept: undeliverable === 0, text: `no event was given up (${undeliverable} were)` },
    {
      isKept: lives === endsApplied + namesakesEnded + forgotten,
      text: `every stream that was started was ended, or forgotten (${lives} starts, ${endsApplied} ends, ${forgotten} forgotten)`,
    },
    {
      isKept: repeatedStarts === 0 && repeatedEnds === 0,
      text: `nothing was told twice (${repeatedStarts} starts and ${repeatedEnds} ends were)`,
    },
    { isKept: enginesInvented === 0, text: `no start named an engine that was gone (${enginesInvented} did)` },
    { isKept: misapplied === 0 && innocentsEnded === 0, text: `no innocent stream was ended (${innocentsEnded} were)` },
    { isKept: isBystanderAlive, text: "another proxy's stream was left alone" },
    {
      isKept: left.length === 0 && sessionsLeft === BYSTANDERS,
      text: `nothing was left behind (${left.length} streams, ${sessionsLeft - BYSTANDERS} sessions)`,
    },
    { isKept: proxy.exitCode === 0, text: `the proxy exited with 0 when told to stop (exited with ${proxy.exitCode})` },
  ]
}

function figures({ viewers, inside, proxy, havoc, recoveredAfterMs }: ChaosOutcome): string[] {
  const { hits, stalled, refused, forgotten } = havoc
  const sum = (count: (viewer: Report) => number): number => viewers.reduce((total, viewer) => total + count(viewer), 0)
  const { retried = 0, duplicatesPrevented = 0 } = proxy.metrics?.events ?? {}
  const { rescued = 0, streamsLost = 0, circuitOpenings = 0 } = proxy.report
  return [
    `chaos     ${[...hits].map(([kind, count]) => `${kind} ${count}`).join(', ')}; of ${inside.requests} requests that arrived`,
    `          ${stalled} requests stalled, ${refused} failed while connections were refused, ${forgotten.length - BYSTANDERS} streams forgotten`,
    `viewers   ${viewers.length} came, ${countOf(viewers, 'served')} served${reasons(viewers, 'refused')}${reasons(viewers, 'failed')}`,
    `          on the way ${sum(({ refusals }) => refusals)} times told when to come back, ${sum(({ engineFailures }) => engineFailures)} times of them since engines failed`,
    `restart   ${fates(viewers)}`,
    `proxy     ${streamsLost} streams lost, ${rescued} viewers moved to another engine, circuit opened ${circuitOpenings} times`,
    `bytes     ${bytesOf(viewers).toLocaleString('en-US')} read`,
    `events    ${retried} attempts repeated, ${duplicatesPrevented} duplicate ends prevented`,
    `recovery  ${recoveredAfterMs === undefined ? 'never' : `${(recoveredAfterMs / 1_000).toFixed(1)} s after the last failure`}`,
    `shutdown  ${(proxy.tookMs / 1_000).toFixed(1)} s`,
  ]
}

function fates(viewers: readonly Report[]): string {
  const struck = viewers.flatMap(({ fate }) => fate ?? [])
  const count = (wanted: Fate): number => struck.filter(({ fate }) => fate === wanted).length
  const worst = Math.max(0, ...struck.map(({ darkMs }) => darkMs))
  const outcome = `${count('went on')} went on by themselves, ${count('asked again')} asked again, ${count('left')} left before`
  return `${struck.length} viewers watched engines that died: ${outcome}; the longest saw nothing for ${(worst / 1_000).toFixed(1)} s`
}
