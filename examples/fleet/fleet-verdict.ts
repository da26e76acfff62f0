import { conclude, type PromiseKept } from '../demo/promises.ts'
import type { ProxyExit } from '../demo/proxy-process.ts'
import { bytesOf, countOf } from '../demo/screen.ts'
import { reasons } from '../demo/verdict.ts'
import type { InsideView } from '../demo/world.ts'
import type { Audience } from './audience.ts'
import type { OutageOutcome } from './outage.ts'

/** Everything that the verdict needs, after the proxies have stopped. */
export interface FleetOutcome {
  audience: Audience
  limit: number
  inside: InsideView
  exits: readonly ProxyExit[]
  /** Number of streams that the killed proxy left behind. */
  left: number
  /** Milliseconds from the kill until the orchestrator listed none of them any more. `undefined`: it never was so. */
  cleanedAfterMs: number | undefined
  /** Streams that the orchestrator lists at the end. */
  listed: readonly string[]
  /** The outage; `undefined` in the forms without one. */
  outage?: OutageOutcome | undefined
}

/** Returns the lines of the verdict, and whether every promise was kept. */
export function fleetVerdict(outcome: FleetOutcome): { lines: string[]; isKept: boolean } {
  return conclude(figures(outcome), check(outcome))
}

function check({ audience, limit, inside, exits, left, cleanedAfterMs, listed, outage }: FleetOutcome): PromiseKept[] {
  const { startsApplied = 0, endsApplied = 0, repeatedStarts = 0, repeatedEnds = 0, innocentsEnded = 0 } = inside
  const { loadPeak = 0, enginePeak = 0, sessionsLeft = 0 } = inside
  const { failures } = audience
  const codes = exits.map(({ exitCode }) => exitCode)
  return [
    { isKept: loadPeak <= limit, text: `no engine had more than ${limit} streams (most: ${loadPeak}, as the orchestrator counted)` },
    { isKept: enginePeak <= limit, text: `no engine had more than ${limit} sessions open (most: ${enginePeak}, as the engines counted)` },
    {
      isKept: failures.length === 0,
      text: `every viewer of a living proxy got bytes, or a Retry-After (${failures.length} did not)`,
    },
    ...(outage === undefined ? [] : [survived(outage)]),
    {
      isKept: cleanedAfterMs !== undefined && left > 0,
      text: `the ${left} streams of the proxy that was killed were ended by the others`,
    },
    {
      isKept: startsApplied - repeatedStarts === endsApplied && repeatedEnds === 0,
      text: `every stream was ended once (${startsApplied - repeatedStarts} started, ${endsApplied} ended, ${repeatedEnds} twice)`,
    },
    { isKept: innocentsEnded === 0, text: `no stream was ended by a request for another stream (${innocentsEnded} were)` },
    {
      isKept: listed.length === 0 && sessionsLeft === 0,
      text: `nothing was left behind (${listed.length} streams, ${sessionsLeft} sessions)`,
    },
    { isKept: codes.every((code) => code === 0), text: `the other proxies exited with 0 after SIGTERM (${codes.join(', ')})` },
  ]
}

/** The promise about the outage. It counts as broken if one of the proxies had no stream, because then nothing was tested there. */
function survived({ ranPerProxy, ended }: OutageOutcome): PromiseKept {
  const text = `no stream that ran through the outage was ended (of ${ranPerProxy.join(' + ')}, ${ended} were)`
  return { isKept: ended === 0 && ranPerProxy.length > 0 && ranPerProxy.every((ran) => ran > 0), text }
}

function figures({ audience, inside, exits, left, cleanedAfterMs, outage }: FleetOutcome): string[] {
  const { viewers, expected, cutOffByKill } = audience
  const requests = exits.reduce((sum, { metrics }) => sum + (metrics?.requests.total ?? 0), 0)
  const cleaned = cleanedAfterMs === undefined ? 'never all ended' : `all ended ${(cleanedAfterMs / 1_000).toFixed(1)} s after the kill`
  return [
    `viewers   ${expected} came, ${countOf(viewers, 'served')} served${reasons(viewers, 'refused')}`,
    `          ${cutOffByKill} were cut off when their proxy was killed, and retried at another`,
    `bytes     ${bytesOf(viewers).toLocaleString('en-US')} read`,
    ...(outage === undefined ? [] : [redis(outage)]),
    `killed    ${left} streams left behind, ${cleaned}`,
    `requests  ${inside.requests ?? 0} in all, ${requests} of them by the living proxies`,
  ]
}

function redis({ downMs, slotsAfterMs }: OutageOutcome): string {
  return `redis     down for ${(downMs / 1_000).toFixed(1)} s; every proxy granted slots ${(slotsAfterMs / 1_000).toFixed(1)} s after its return`
}
