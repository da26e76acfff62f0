import type { ProxyExit } from './proxy-process.ts'
import { bytesOf, countOf } from './screen.ts'
import type { Viewer } from './viewer.ts'
import type { EngineRow, InsideView } from './world.ts'

/** All that is known when everything is over. */
export interface Outcome {
  viewers: readonly Viewer[]
  engines: readonly EngineRow[]
  limit: number
  inside: InsideView
  proxy: ProxyExit
  /** Whether the other proxy's stream was still there. */
  isBystanderAlive: boolean
  /** Streams of the proxy's that the orchestrator still lists. */
  left: readonly string[]
}

/** One thing that was promised. */
interface PromiseKept {
  isKept: boolean
  text: string
}

/** The end of the demo: what was seen, and whether every promise was kept. */
export function verdict(outcome: Outcome): { lines: string[]; isKept: boolean } {
  const promises = check(outcome)
  const broken = promises.filter(({ isKept }) => !isKept)
  const conclusion = broken.length === 0 ? 'Every promise was kept.' : `BROKEN: ${broken.map(({ text }) => text).join('; ')}`
  const lines = [...figures(outcome), '', ...promises.map(({ isKept, text }) => `  ${isKept ? 'kept  ' : 'BROKEN'}  ${text}`), '', conclusion]
  return { lines, isKept: broken.length === 0 }
}

function check({ viewers, engines, limit, inside, proxy, isBystanderAlive, left }: Outcome): PromiseKept[] {
  const { innocentsEnded, enginePeak, sessionsLeft } = inside
  const listedPeak = Math.max(0, ...engines.map(({ peak }) => peak))
  const failures = viewers.filter(({ state }) => state !== 'served' && state !== 'refused')
  const { started, ended, misapplied } = told(proxy, inside)
  const promises: PromiseKept[] = [
    { isKept: listedPeak <= limit, text: `no engine had more than ${limit} streams (most: ${listedPeak}, as the orchestrator saw it)` },
    { isKept: failures.length === 0, text: `every viewer got bytes, or was told when to come back (${failures.length} did not)` },
    { isKept: isBystanderAlive, text: "another proxy's stream was left alone" },
    { isKept: misapplied === 0, text: `no end hit another stream than its own (${misapplied} did)` },
    { isKept: started === ended, text: `every stream that was started was ended (${started} starts, ${ended} ends)` },
    { isKept: left.length === 0, text: `the orchestrator lists no stream of the proxy's any more (${left.length} left)` },
    { isKept: proxy.exitCode === 0, text: `the proxy exited with 0 when told to stop (exited with ${proxy.exitCode})` },
  ]
  if (enginePeak !== undefined) {
    const text = `no engine had more than ${limit} sessions open (most: ${enginePeak}, as the engines saw it)`
    promises.splice(1, 0, { isKept: enginePeak <= limit, text })
  }
  if (innocentsEnded !== undefined) promises.push({ isKept: innocentsEnded === 0, text: `no innocent stream was ended (${innocentsEnded} were)` })
  if (sessionsLeft !== undefined) promises.push({ isKept: sessionsLeft === 0, text: `no session was left open on an engine (${sessionsLeft} were)` })
  return promises
}

function figures({ viewers, engines, inside, proxy }: Outcome): string[] {
  const { byRoute = {}, total = 0 } = proxy.metrics?.requests ?? {}
  const events = Object.entries(byRoute).reduce((sum, [route, count]) => (route.includes('/events/stream_') ? sum + count : sum), 0)
  const naive = viewers.length * (1 + engines.length)
  const refused = reasons(viewers, 'refused')
  const failed = reasons(viewers, 'failed')
  const { started, ended } = told(proxy, inside)
  const { duplicatesPrevented = 0, undeliverable = 0, retried = 0 } = proxy.metrics?.events ?? {}
  return [
    `viewers   ${viewers.length} came, ${countOf(viewers, 'served')} served${refused}${failed}`,
    `bytes     ${bytesOf(viewers).toLocaleString('en-US')} read`,
    `engines   ${engines.length} in the end; peaks ${engines.map(({ peak }) => peak).join(' ')}`,
    `events    ${started} starts and ${ended} ends applied, ${duplicatesPrevented} duplicate ends prevented, ${retried} retried, ${undeliverable} undeliverable`,
    ...(inside.namesakesEnded ? [`namesakes ${inside.namesakesEnded} streams ended with another of the same content`] : []),
    `requests  ${total - events} to choose engines, instead of ${naive}: without this client, viewers × (1 + engines), ${viewers.length} × (1 + ${engines.length})`,
    `          ${events} to tell of streams; ${routes(byRoute)}`,
    `shutdown  ${(proxy.tookMs / 1000).toFixed(1)} s`,
  ]
}

/** As the orchestrator counted, but for the bystander's one start; else as it acknowledged to the proxy. */
function told({ metrics }: ProxyExit, { startsApplied, endsApplied }: InsideView): { started: number; ended: number; misapplied: number } {
  const { started = Number.NaN, ended = Number.NaN, misapplied = Number.NaN } = metrics?.events ?? {}
  return { started: startsApplied === undefined ? started : startsApplied - 1, ended: endsApplied ?? ended, misapplied }
}

function reasons(viewers: readonly Viewer[], state: 'refused' | 'failed'): string {
  const counts = new Map<string, number>()
  for (const viewer of viewers) if (viewer.state === state) counts.set(viewer.reason, (counts.get(viewer.reason) ?? 0) + 1)
  if (counts.size === 0) return `, 0 ${state}`
  return `, ${countOf(viewers, state)} ${state} (${[...counts].map(([reason, count]) => `${reason}: ${count}`).join(', ')})`
}

function routes(byRoute: Readonly<Record<string, number>>): string {
  return Object.entries(byRoute)
    .map(([route, count]) => `${route} ${count}`)
    .join(', ')
}
