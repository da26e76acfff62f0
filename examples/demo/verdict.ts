import { conclude, type PromiseKept } from './promises.ts'
import type { ProxyExit } from './proxy-process.ts'
import { bytesOf, countOf } from './screen.ts'
import type { Viewer } from './viewer.ts'
import type { EngineRow, InsideView } from './world.ts'

/** Everything that the verdict needs, after the proxy has stopped. */
export interface Outcome {
  viewers: readonly Viewer[]
  engines: readonly EngineRow[]
  /** Number of engines when the first viewer came. */
  firstEngineCount: number
  limit: number
  inside: InsideView
  proxy: ProxyExit
  /** Whether the stream of the other proxy was still live. */
  isOtherStreamAlive: boolean
  /** Streams of the proxy that the orchestrator still lists. */
  left: readonly string[]
}

/** Number of streams of the other proxy. Its stream is started and not yet ended when the verdict counts. */
const OTHER_STREAMS = 1

/** Returns the lines of the verdict, and whether every promise was kept. */
export function verdict(outcome: Outcome): { lines: string[]; isKept: boolean } {
  return conclude(figures(outcome), check(outcome))
}

function check({ viewers, engines, limit, inside, proxy, isOtherStreamAlive, left }: Outcome): PromiseKept[] {
  const { innocentsEnded, enginePeak, contentPeak, sessionsLeft } = inside
  const listedPeak = Math.max(0, ...engines.map(({ peak }) => peak))
  const failures = viewers.filter(({ state }) => state !== 'served' && state !== 'refused')
  const { started, ended, misapplied } = eventCounts(proxy, inside)
  const promises: PromiseKept[] = [
    { isKept: listedPeak <= limit, text: `no engine had more than ${limit} streams (most: ${listedPeak}, as the orchestrator counted)` },
    { isKept: failures.length === 0, text: `every viewer got bytes, or a Retry-After (${failures.length} did not)` },
    { isKept: isOtherStreamAlive, text: 'the stream of another proxy was not ended' },
    { isKept: misapplied === 0, text: `no end of the proxy ended another stream (${misapplied} did)` },
    {
      // On a real orchestrator only acknowledged events are known. If the response of a start is lost, its end still counts.
      isKept: inside.startsApplied === undefined ? ended >= started : ended === started,
      text: `every stream that was started was ended (${started} starts, ${ended} ends)`,
    },
    { isKept: left.length === 0, text: `the orchestrator lists no stream of the proxy at the end (${left.length} left)` },
    { isKept: proxy.exitCode === 0, text: `the proxy exited with 0 after SIGTERM (exited with ${proxy.exitCode})` },
  ]
  if (enginePeak !== undefined) {
    const text = `no engine had more than ${limit} sessions open (most: ${enginePeak}, as the engines counted)`
    promises.splice(1, 0, { isKept: enginePeak <= limit, text })
  }
  if (contentPeak !== undefined) {
    promises.push({ isKept: contentPeak <= 1, text: `no content had more than 1 session open (most: ${contentPeak})` })
  }
  if (innocentsEnded !== undefined)
    promises.push({ isKept: innocentsEnded === 0, text: `no stream was ended by a request for another stream (${innocentsEnded} were)` })
  if (sessionsLeft !== undefined) {
    const ours = sessionsLeft - OTHER_STREAMS
    promises.push({ isKept: ours === 0, text: `no session was left open on an engine (${ours} were)` })
  }
  return promises
}

function figures({ viewers, engines, firstEngineCount, inside, proxy }: Outcome): string[] {
  const { byRoute = {}, total = 0 } = proxy.metrics?.requests ?? {}
  const events = Object.entries(byRoute).reduce((sum, [route, count]) => (route.includes('/events/stream_') ? sum + count : sum), 0)
  // For each viewer, the Go client reads the engine list and then the streams of each engine.
  const goClientRequests = viewers.length * (1 + firstEngineCount)
  const formula = `viewers × (1 + engines) = ${viewers.length} × (1 + ${firstEngineCount}) = ${goClientRequests}`
  const refused = reasons(viewers, 'refused')
  const failed = reasons(viewers, 'failed')
  const { started, ended } = eventCounts(proxy, inside)
  const { duplicatesPrevented = 0, undeliverable = 0, retried = 0 } = proxy.metrics?.events ?? {}
  return [
    `viewers   ${viewers.length} came, ${countOf(viewers, 'served')} served${refused}${failed}`,
    sharing(proxy, inside.sessionsOpened === undefined ? started : inside.sessionsOpened - OTHER_STREAMS),
    `bytes     ${bytesOf(viewers).toLocaleString('en-US')} read`,
    `engines   ${firstEngineCount} at first, ${engines.length} at the end; peaks ${engines.map(({ peak }) => peak).join(' ')}`,
    `events    ${started} starts and ${ended} ends applied, ${duplicatesPrevented} duplicate ends prevented, ${retried} retried, ${undeliverable} undeliverable`,
    ...(inside.namesakesEnded ? [`content   ${inside.namesakesEnded} streams ended together with another stream of the same content`] : []),
    `requests  ${total - events} to choose engines; a client without this cache, such as the Go one, would have made ${formula}`,
    `          ${events} to announce and end streams; ${routes(byRoute)}`,
    `shutdown  ${(proxy.tookMs / 1000).toFixed(1)} s`,
  ]
}

/**
 * Starts and ends as a fake orchestrator counted them, without the other proxy's; otherwise as a real one acknowledged them to the proxy.
 */
function eventCounts(
  { metrics }: ProxyExit,
  { startsApplied, endsApplied }: InsideView,
): { started: number; ended: number; misapplied: number } {
  const { started = Number.NaN, ended = Number.NaN, misapplied = Number.NaN } = metrics?.events ?? {}
  return { started: startsApplied === undefined ? started : startsApplied - OTHER_STREAMS, ended: endsApplied ?? ended, misapplied }
}

/**
 * Formats how many sessions the viewers shared. Without sharing, each of them would need a session, and a slot, of its own. A viewer who
 * comes back, or who moves to another engine, counts again.
 */
export function sharing({ report: { viewersJoined = Number.NaN } }: ProxyExit, sessions: number): string {
  return `sessions  ${sessions} opened for ${viewersJoined} viewers who joined them: ${viewersJoined - sessions} slots saved`
}

/** Formats how many viewers have this state, and why. */
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
