import { conclude, type PromiseKept } from './promises.ts'
import type { ProxyExit } from './proxy-process.ts'
import { bytesOf, countOf } from './screen.ts'
import type { Viewer } from './viewer.ts'
import type { EngineRow, InsideView } from './world.ts'

/** All that is known when everything is over. */
export interface Outcome {
  viewers: readonly Viewer[]
  engines: readonly EngineRow[]
  /** How many there were when the first viewer came. */
  firstEngineCount: number
  limit: number
  inside: InsideView
  proxy: ProxyExit
  /** Whether the other proxy's stream was still there. */
  isBystanderAlive: boolean
  /** Streams of the proxy's that the orchestrator still lists. */
  left: readonly string[]
}

/** The other proxy's stream: started and not yet ended when all is looked at. */
const BYSTANDERS = 1

/** The end of the demo: what was seen, and whether every promise was kept. */
export function verdict(outcome: Outcome): { lines: string[]; isKept: boolean } {
  return conclude(figures(outcome), check(outcome))
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
    {
      // A real orchestrator shows only what it acknowledged. A start whose answer was lost is ended too.
      isKept: inside.startsApplied === undefined ? ended >= started : ended === started,
      text: `every stream that was started was ended (${started} starts, ${ended} ends)`,
    },
    { isKept: left.length === 0, text: `the orchestrator lists no stream of the proxy's any more (${left.length} left)` },
    { isKept: proxy.exitCode === 0, text: `the proxy exited with 0 when told to stop (exited with ${proxy.exitCode})` },
  ]
  if (enginePeak !== undefined) {
    const text = `no engine had more than ${limit} sessions open (most: ${enginePeak}, as the engines saw it)`
    promises.splice(1, 0, { isKept: enginePeak <= limit, text })
  }
  if (innocentsEnded !== undefined)
    promises.push({ isKept: innocentsEnded === 0, text: `no innocent stream was ended (${innocentsEnded} were)` })
  if (sessionsLeft !== undefined) {
    const ours = sessionsLeft - BYSTANDERS
    promises.push({ isKept: ours === 0, text: `no session was left open on an engine (${ours} were)` })
  }
  return promises
}

function figures({ viewers, engines, firstEngineCount, inside, proxy }: Outcome): string[] {
  const { byRoute = {}, total = 0 } = proxy.metrics?.requests ?? {}
  const events = Object.entries(byRoute).reduce((sum, [route, count]) => (route.includes('/events/stream_') ? sum + count : sum), 0)
  // The Go client reads the engine list and then each engine's streams, for each viewer anew.
  const naive = viewers.length * (1 + firstEngineCount)
  const formula = `viewers × (1 + engines) = ${viewers.length} × (1 + ${firstEngineCount}) = ${naive}`
  const refused = reasons(viewers, 'refused')
  const failed = reasons(viewers, 'failed')
  const { started, ended } = told(proxy, inside)
  const { duplicatesPrevented = 0, undeliverable = 0, retried = 0 } = proxy.metrics?.events ?? {}
  return [
    `viewers   ${viewers.length} came, ${countOf(viewers, 'served')} served${refused}${failed}`,
    `bytes     ${bytesOf(viewers).toLocaleString('en-US')} read`,
    `engines   ${firstEngineCount} at first, ${engines.length} in the end; peaks ${engines.map(({ peak }) => peak).join(' ')}`,
    `events    ${started} starts and ${ended} ends applied, ${duplicatesPrevented} duplicate ends prevented, ${retried} retried, ${undeliverable} undeliverable`,
    ...(inside.namesakesEnded ? [`namesakes ${inside.namesakesEnded} streams ended with another of the same content`] : []),
    `requests  ${total - events} to choose engines; a client without this cache, such as the Go one, would have made ${formula}`,
    `          ${events} to tell of streams; ${routes(byRoute)}`,
    `shutdown  ${(proxy.tookMs / 1000).toFixed(1)} s`,
  ]
}

/** As the orchestrator counted, but for the bystander; else as it acknowledged to the proxy. */
function told({ metrics }: ProxyExit, { startsApplied, endsApplied }: InsideView): { started: number; ended: number; misapplied: number } {
  const { started = Number.NaN, ended = Number.NaN, misapplied = Number.NaN } = metrics?.events ?? {}
  return { started: startsApplied === undefined ? started : startsApplied - BYSTANDERS, ended: endsApplied ?? ended, misapplied }
}

/** How many came to this, and why. */
export function reasons(viewers: readonly Pick<Viewer, 'state' | 'reason'>[], state: 'refused' | 'failed'): string {
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
