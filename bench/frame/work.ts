/**
 * Counts work instead of time: how many characters of this package's code an operation executes, loops included. V8 counts the executions of each block,
 * because `count-blocks.ts` has turned its coverage profiler on before the package was loaded. Loops inside of built-in functions, such as a sort, are not seen; the callbacks that they call are.
 */
import { Session } from 'node:inspector/promises'
import type { Batch } from './measure.ts'

interface Range {
  readonly startOffset: number
  readonly endOffset: number
  readonly count: number
}

const OPERATIONS = 500
/** Only the built package counts, not the loop of the benchmark. */
const PACKAGE = new URL('../../dist/', import.meta.url).href

/** Characters of code that one operation executes, the mean of 500. */
export async function workOf(batch: Batch): Promise<number> {
  await batch(1)
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  await session.post('Profiler.takePreciseCoverage')
  await batch(OPERATIONS)
  const { result } = await session.post('Profiler.takePreciseCoverage')
  session.disconnect()
  const functions = result.filter(({ url }) => url.startsWith(PACKAGE)).flatMap((script) => script.functions)
  return functions.reduce((sum, { ranges }) => sum + executed(ranges), 0) / OPERATIONS
}

/** Characters that were executed, each as often as it was. An inner range counts for its own characters, and its parent for the rest. */
function executed(ranges: readonly Range[]): number {
  let sum = 0
  for (const range of ranges) {
    const parent = ranges
      .filter((other) => other !== range && other.startOffset <= range.startOffset && other.endOffset >= range.endOffset)
      .reduce<Range | undefined>((inner, other) => (inner && sizeOf(inner) <= sizeOf(other) ? inner : other), undefined)
    sum += sizeOf(range) * (range.count - (parent?.count ?? 0))
  }
  return sum
}

function sizeOf({ startOffset, endOffset }: Range): number {
  return endOffset - startOffset
}
