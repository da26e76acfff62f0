import { describe, expect, it } from 'vitest'
import { filesUnder, read } from './pages.ts'

interface Row {
  t: number
  event: string
  engine?: string
  content?: string
  activeStreams?: number
  cause?: string
}

const TRACES = ['proxy-2025-10-12.jsonl', 'proxy-2025-10-13.jsonl', 'orchestrator-2025-10-13.jsonl'] as const
/** The page without its line breaks. */
const PAGE = read('docs/incidents.md').replaceAll(/\s+/g, ' ')

const trace = (name: (typeof TRACES)[number]): Row[] =>
  read(`examples/traces/${name}`)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row)
const [first, proxy, orchestrator] = [trace(TRACES[0]), trace(TRACES[1]), trace(TRACES[2])]

/** The rows of one kind, in order of time. */
const only = (rows: readonly Row[], event: string): Row[] => rows.filter((row) => row.event === event).toSorted((a, b) => a.t - b.t)
const seconds = (ms: number | undefined): number => Math.round((ms ?? 0) / 1_000)
/** `183 to 213 s` of the first and the last of these rows. */
const span = (rows: readonly Row[]): string => `${seconds(rows[0]?.t)} to ${seconds(rows.at(-1)?.t)} s`

/** The most streams that an engine had at once, if the n-th start belongs to the n-th selection and ends with the next end of its content. */
function mostAtOnce(rows: readonly Row[]): number[] {
  const starts = only(rows, 'stream_started')
  const streams = only(rows, 'selected').map(({ engine }, index) => {
    const { t: from = 0, content } = starts[index] ?? {}
    const done = only(rows, 'stream_done').find((row) => row.content === content && row.t > from)
    return { engine, from, until: done?.t ?? Number.POSITIVE_INFINITY }
  })
  return [...new Set(streams.map(({ engine }) => engine))].map((engine) => {
    const own = streams.filter((stream) => stream.engine === engine)
    return Math.max(...own.map(({ from: t }) => own.filter(({ from, until }) => from <= t && t < until).length))
  })
}

describe('the page about incidents', () => {
  it('counts the rows of every trace', () => {
    expect(filesUnder('examples/traces')).toHaveLength(TRACES.length)
    for (const name of TRACES) expect(PAGE).toContain(`| \`${name}\` | ${trace(name).length} |`)
    expect(PAGE).toContain(`${only(first, 'selected').length} viewers, engines over`)
    const arrivals = ['selected', 'at_capacity', 'viewer_rejected'].flatMap((event) => only(proxy, event))
    expect(PAGE).toContain(`a VPN drop, with ${arrivals.length} viewers`)
  })

  it.each([
    ['15497f49c453', 6],
    ['6a977c737805', 5],
    ['613162e2cada', 5],
  ])('says that the engine %s was selected %i times within seconds, each time with 0 active streams', (engine, times) => {
    const selected = only(first, 'selected').filter((row) => row.engine === engine)
    const bursts = selected.slice(times - 1).map(({ t }, index) => ({ ms: t - (selected[index]?.t ?? 0), index }))
    const { ms, index } = bursts.toSorted((a, b) => a.ms - b.ms)[0] ?? { ms: 0, index: 0 }
    expect(selected.slice(index, index + times).map(({ activeStreams }) => activeStreams)).toEqual(Array.from({ length: times }, () => 0))
    const text = PAGE.slice(PAGE.indexOf(`\`${engine}\``)).replace(' was selected', '')
    const withinS = Math.ceil(ms / 1_000)
    expect(text.startsWith(`\`${engine}\` ${times} times in ${withinS} s`), `${engine}: ${times} times in ${withinS} s`).toBe(true)
  })

  it('says how many streams the engines had at once, and how many playbacks failed', () => {
    const most = mostAtOnce(first)
    expect(PAGE).toContain(
      `${most.filter((count) => count > 2).length} of the ${most.length} engines had more than 2 streams at some time, and one had ${Math.max(...most)}.`,
    )
    const failed = only(first, 'start_failed')
    const timedOut = failed.filter(({ cause }) => cause === 'engine_timeout')
    expect(PAGE).toContain(`${failed.length} playbacks failed, ${timedOut.length} of them because an engine timed out`)
  })

  it('says how many starts were rejected, and after how many an end was applied', () => {
    const rejected = only(proxy, 'event_rejected')
    const ends = only(orchestrator, 'stream_end_applied')
    const followed = rejected.filter(({ t }) => ends.some((end) => end.t >= t && end.t - t <= 200))
    expect(PAGE).toContain(`Within 0.2 s after ${followed.length} of the ${rejected.length} rejections`)
    expect(PAGE).toContain(`| ${span(rejected)} | ${rejected.length} starts are rejected with 422 |`)
  })

  it('says how many requests for an engine failed, and how many seconds later the orchestrator answered them', () => {
    const failed = only(proxy, 'provision_attempt_failed')
    const refused = only(orchestrator, 'provision_refused')
    expect(refused).toHaveLength(failed.length)
    const late = refused.map(({ t }, index) => seconds(t - (failed[index]?.t ?? 0)))
    expect(new Set(late)).toEqual(new Set([2]))
    expect(PAGE).toContain(`rejected all ${refused.length} because of the VPN, each about 2 s after the client had given up`)
    const fallbacks = only(proxy, 'fallback_engine').length
    expect(fallbacks * 3).toBe(failed.length)
    expect(PAGE).toContain(
      `${fallbacks} viewers find all engines full; ${failed.length} requests for an engine time out; all ${fallbacks} go`,
    )
  })

  it('says how many viewers were turned away, and when', () => {
    const turnedAway = only(proxy, 'viewer_rejected')
    expect(PAGE).toContain(`| ${span(turnedAway)} | ${turnedAway.length} viewers are turned away |`)
    expect(PAGE).toContain(`### ${turnedAway.length} viewers turned away`)
  })
})
