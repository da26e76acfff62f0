import type { Outcome } from './simulate.ts'
import type { WorldOptions } from './world.ts'

/** The report of a failed run, with the command that repeats it. */
export function report(
  { seed, failure, faults, events }: Outcome,
  { library, isCluster = false, only, hasRivals = true }: Omit<WorldOptions, 'seed'>,
): string {
  const flags = `${isCluster ? ' --cluster' : ''}${only === undefined ? '' : ` --only '${only}'`}${hasRivals ? '' : ' --without-rivals'}`
  return [
    `Seed ${seed} with ${library}: ${failure}`,
    `  again: npm run simulate:fleet -- --library ${library} --from ${seed} --seeds 1${flags} --verbose`,
    `  faults: ${faults.join(', ')}`,
    ...events.map((event) => `  ${event}`),
  ].join('\n')
}
