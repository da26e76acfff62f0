import type { Library } from './counted-client.ts'
import type { Outcome } from './simulate.ts'

/** What is printed of a run that failed, with the command that repeats it. */
export function report({ seed, failure, faults, events }: Outcome, library: Library): string {
  return [
    `Seed ${seed} with ${library}: ${failure}`,
    `  again: npm run simulate:fleet -- --library ${library} --from ${seed} --seeds 1 --verbose`,
    `  faults: ${faults.join(', ')}`,
    ...events.map((event) => `  ${event}`),
  ].join('\n')
}
