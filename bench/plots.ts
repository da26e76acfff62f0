/** The two plots of `BENCHMARKS.md`, from figures that are measured for them. */
import { writeFileSync } from 'node:fs'
import { costsBySize, SIZES } from './acquiring.ts'
import { type Series, svgOf } from './frame/plot.ts'
import { CROWDS, requestsPerViewer } from './workload/crowd.ts'

const DOCS = new URL('../docs/', import.meta.url)

/** The files of the plots in `docs/`, with what they show. */
export const PLOTS = {
  'bench-acquire.svg': 'The cost of one acquire and one release by the number of engines, of this client and of three resource pools',
  'bench-requests.svg': 'Requests per viewer by the number of viewers, of three clients',
} as const

/** Pairs the values of each line with the same values of x. */
function seriesOf(lines: Readonly<Record<string, readonly number[]>>, xs: readonly number[]): Series[] {
  return Object.entries(lines).map(([name, ys]) => ({ name, points: ys.map((y, index) => [xs[index] ?? Number.NaN, y] as const) }))
}

/** Measures what the plots show, and writes them into `docs/`. */
export async function writePlots(): Promise<void> {
  const acquire = svgOf({
    title: 'One acquire and one release',
    xLabel: 'engines, or resources of a pool',
    yLabel: 'CPU time, µs',
    xTicks: [10, 100, 1_000, 10_000],
    series: seriesOf(await costsBySize(), SIZES),
  })
  const requests = svgOf({
    title: 'Requests until a crowd of viewers plays on 100 engines',
    xLabel: 'viewers who come at once',
    yLabel: 'requests per viewer, with the start of the stream',
    xTicks: [1, 10, 100, 1_000],
    series: seriesOf(await requestsPerViewer(), CROWDS),
  })
  const texts: Readonly<Record<keyof typeof PLOTS, string>> = { 'bench-acquire.svg': acquire, 'bench-requests.svg': requests }
  for (const [file, text] of Object.entries(texts)) writeFileSync(new URL(file, DOCS), text)
}
