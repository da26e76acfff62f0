import { availableParallelism } from 'node:os'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { LIBRARIES } from './libraries.ts'
import { report } from './report.ts'
import { simulate } from './simulate.ts'

const USAGE = `npm run simulate:fleet -- [--seeds 200] [--from 1] [--library ioredis|node-redis] [--cluster] [--only <fault>] [--without-rivals] [--parallel 2] [--verbose]

Runs the seeds with each client library, each on its own redis-server, and prints which runs pass. The exit code is 1 if a run fails.
--only: only the faults whose names contain this text; 'none' causes no faults.
--without-rivals: no member ends a stream of another member by its id.
`

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    from: { type: 'string', default: '1' },
    library: { type: 'string' },
    cluster: { type: 'boolean', default: false },
    only: { type: 'string' },
    'without-rivals': { type: 'boolean', default: false },
    parallel: { type: 'string', default: String(availableParallelism()) },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) process.stdout.write(USAGE)
else process.exitCode = await main()
process.exit()

async function main(): Promise<number> {
  const print = (line: string): void => void process.stdout.write(`${line}\n`)
  const libraries = LIBRARIES.filter((library) => values.library === undefined || library === values.library)
  const seeds = Array.from({ length: Number(values.seeds) }, (_, index) => Number(values.from) + index)
  const jobs = libraries.flatMap((library) => seeds.map((seed) => ({ library, seed })))
  const failed: string[] = []
  const work = async (): Promise<void> => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
      const options = {
        ...job,
        isCluster: values.cluster,
        only: values.only,
        hasRivals: !values['without-rivals'],
        print: values.verbose ? print : undefined,
      }
      const outcome = await simulate(options)
      const { library, seed } = job
      print(`${library.padEnd(10)} seed ${String(seed).padStart(4)}  ${outcome.failure === undefined ? 'passes' : 'FAILS'}`)
      if (outcome.failure === undefined) continue
      failed.push(`${library} ${seed}: ${outcome.failure}`)
      print(report(outcome, options))
    }
  }
  await Promise.all(Array.from({ length: Math.max(1, Number(values.parallel)) }, work))
  const total = libraries.length * seeds.length
  print(`${total - failed.length} of ${total} runs pass`)
  for (const line of failed) print(`  ${line}`)
  return failed.length === 0 ? 0 : 1
}
