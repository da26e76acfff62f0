import type { ChaosFigures } from './chaos-faults.ts'
import { conclude, type PromiseKept } from './promises.ts'
import type { ProxyExit } from './proxy-process.ts'
import { bytesOf, countOf } from './screen.ts'
import { reasons, sharing } from './verdict.ts'
import type { RecoveryKind, Viewer } from './viewer.ts'
import type { InsideView } from './world.ts'

/** What the verdict needs of a viewer. */
export type Report = Pick<Viewer, 'state' | 'reason' | 'bytes' | 'refusals' | 'engineFailures' | 'wrongCuts' | 'recovery'>

/** Everything that the verdict needs, after the proxy has stopped. */
export interface ChaosOutcome {
  viewers: readonly Report[]
  limit: number
  inside: InsideView
  proxy: ProxyExit
  chaos: ChaosFigures
  /** Time from the last failure until every viewer was watching and every event was delivered. `undefined`: it never was so. */
  recoveredAfterMs: number | undefined
  /** Undelivered events just before the proxy was stopped. */
  pending: number
  /** Viewers that were present and not watching just before the proxy was stopped. */
  notWatching: number
  /** Whether the stream of the other proxy was still live. */
  isOtherStreamAlive: boolean
  /** Streams of the proxy that the orchestrator still lists. */
  left: readonly string[]
}

/**
 * Number of streams of the other proxy. The restart forgot its first stream with the others; its second stream started without a request.
 */
const OTHER_STREAMS = 1
/** Number of sessions of the other proxy: one before the restart, one after it. */
const OTHER_SESSIONS = 2

/** Returns the lines of the verdict, and whether every promise was kept. */
export function chaosVerdict(outcome: ChaosOutcome): { lines: string[]; isKept: boolean } {
  return conclude(figures(outcome), check(outcome))
}

function check(outcome: ChaosOutcome): PromiseKept[] {
  const { viewers, limit, inside, proxy, chaos, pending, notWatching, isOtherStreamAlive, left } = outcome
  const { startsApplied = 0, repeatedStarts = 0, endsApplied = 0, repeatedEnds = 0, namesakesEnded = 0 } = inside
  const { loadPeak = 0, enginePeak = 0, sessionsLeft = 0, innocentsEnded = 0, enginesInvented = 0 } = inside
  const lives = startsApplied - repeatedStarts
  const forgotten = chaos.forgotten.length
  const { misapplied = Number.NaN, undeliverable = Number.NaN } = proxy.metrics?.events ?? {}
  const undelivered = proxy.report.undelivered?.length ?? Number.NaN
  const failures = viewers.filter(({ state }) => state !== 'served' && state !== 'refused')
  const wrongCuts = viewers.flatMap((viewer) => viewer.wrongCuts)
  const unrecovered = viewers.filter(({ recovery }) => recovery?.kind === 'none').length
  const kinds = [...chaos.hits.values(), chaos.stalled, chaos.refused, forgotten - OTHER_STREAMS]
  return [
    {
      isKept: kinds.every((count) => count > 0),
      text: `the orchestrator failed in every way (${kinds.filter(Boolean).length} of ${kinds.length})`,
    },
    { isKept: loadPeak <= limit, text: `no engine had more than ${limit} streams (most: ${loadPeak}, as the orchestrator counted)` },
    { isKept: enginePeak <= limit, text: `no engine had more than ${limit} sessions open (most: ${enginePeak}, as the engines counted)` },
    { isKept: failures.length === 0, text: `every viewer got bytes, or a Retry-After (${failures.length} did not)` },
    {
      isKept: wrongCuts.length === 0,
      text: `no viewer of a healthy engine was cut off (${[wrongCuts.length, ...new Set(wrongCuts)].join(', ')})`,
    },
    { isKept: unrecovered === 0, text: `every viewer of a replaced engine got bytes again (${unrecovered} did not)` },
    { isKept: notWatching === 0, text: `after the failures every remaining viewer was watching (${notWatching} were not)` },
    {
      isKept: pending === 0 && undelivered === 0,
      text: `every event was delivered (${pending} pending before the shutdown, ${undelivered} after)`,
    },
    { isKept: undeliverable === 0, text: `no event was undeliverable (${undeliverable} were)` },
    {
      isKept: lives === endsApplied + namesakesEnded + forgotten,
      text: `every stream that was started was ended, or forgotten by the restart (${lives} starts, ${endsApplied} ends, ${forgotten} forgotten)`,
    },
    {
      isKept: repeatedStarts === 0 && repeatedEnds === 0,
      text: `no event was applied twice (${repeatedStarts} starts and ${repeatedEnds} ends were)`,
    },
    { isKept: enginesInvented === 0, text: `no start named an engine that had vanished (${enginesInvented} did)` },
    {
      isKept: misapplied === 0 && innocentsEnded === 0,
      text: `no stream was ended by a request for another stream (${innocentsEnded} were)`,
    },
    { isKept: isOtherStreamAlive, text: 'the stream of another proxy was not ended' },
    {
      isKept: left.length === 0 && sessionsLeft === OTHER_STREAMS,
      text: `nothing was left behind (${left.length} streams, ${sessionsLeft - OTHER_STREAMS} sessions)`,
    },
    { isKept: proxy.exitCode === 0, text: `the proxy exited with 0 after SIGTERM (exited with ${proxy.exitCode})` },
  ]
}

function figures({ viewers, inside, proxy, chaos, recoveredAfterMs }: ChaosOutcome): string[] {
  const { hits, stalled, refused, forgotten } = chaos
  const sum = (count: (viewer: Report) => number): number => viewers.reduce((total, viewer) => total + count(viewer), 0)
  const { retried = 0, duplicatesPrevented = 0 } = proxy.metrics?.events ?? {}
  const { rescued = 0, streamsLost = 0, circuitOpenings = 0 } = proxy.report
  const { sessionsOpened = Number.NaN } = inside
  return [
    `chaos     ${[...hits].map(([kind, count]) => `${kind} ${count}`).join(', ')}; ${inside.requests} requests arrived`,
    `          ${stalled} requests stalled, ${refused} failed while connections were refused, ${forgotten.length - OTHER_STREAMS} streams forgotten`,
    `viewers   ${viewers.length} came, ${countOf(viewers, 'served')} served${reasons(viewers, 'refused')}${reasons(viewers, 'failed')}`,
    `          ${sum(({ refusals }) => refusals)} refusals with a Retry-After on the way, ${sum(({ engineFailures }) => engineFailures)} of them because engines failed`,
    sharing(proxy, sessionsOpened - OTHER_SESSIONS),
    `restart   ${recoveries(viewers)}`,
    `proxy     ${streamsLost} streams lost, ${rescued} viewers moved to another engine, circuit breaker opened ${circuitOpenings} times`,
    `bytes     ${bytesOf(viewers).toLocaleString('en-US')} read`,
    `events    ${retried} retries, ${duplicatesPrevented} duplicate ends prevented`,
    `recovery  ${recoveredAfterMs === undefined ? 'never' : `${(recoveredAfterMs / 1_000).toFixed(1)} s after the last failure`}`,
    `shutdown  ${(proxy.tookMs / 1_000).toFixed(1)} s`,
  ]
}

function recoveries(viewers: readonly Report[]): string {
  const affected = viewers.flatMap(({ recovery }) => recovery ?? [])
  const count = (wanted: RecoveryKind): number => affected.filter(({ kind }) => kind === wanted).length
  const longest = Math.max(0, ...affected.map(({ gapMs }) => gapMs))
  const outcome = `${count('continued')} continued in the same response, ${count('retried')} retried, ${count('left')} left before`
  return `${affected.length} viewers watched engines that died: ${outcome}; the longest gap was ${(longest / 1_000).toFixed(1)} s`
}
