import { parseArgs } from 'node:util'
import { GENERATIONS, type Generation } from 'acestream-orchestrator-client/testing'
import { parseFailure, UsageError } from '../demo/arguments.ts'

/** The parsed arguments of the fleet demo. */
export interface FleetArguments {
  generation: Generation
  seed: number
  /** `plain`: the proxies share a Redis. `without-store`: they share nothing. `redis-outage`: their Redis is down for 20 s. */
  form: 'plain' | 'without-store' | 'redis-outage'
}

export const USAGE = `Usage: npm run demo:fleet -- [options]

Starts three proxy processes, one Redis, and a fake orchestrator with 12 engines and 24 slots. About as many viewers as there are slots
watch at the three proxies. Half-way one proxy is killed. Exits with 0 if every promise was kept, with 1 if one was broken, and with 2 if
the arguments are invalid or there is no redis-server.

  --generation NAME  generation of the fake orchestrator: 2025-10, 2026-04 or v1 (2025-10)
  --seed N           seed of the viewers' behaviour (1)
  --without-store    the same without Redis, for comparison: it breaks promises, and exits with 0 nevertheless
  --redis-outage     kills Redis for 20 s; it comes back empty, and then a proxy is killed. Takes about 90 s. One more promise: no stream
                     that ran through the outage is ended
  --help

Compare the figures of the other two forms with the plain form, which has the same proxies and engines, and in which only one proxy fails.
`

/** Parses the arguments. Returns `undefined` for --help. @throws {@link UsageError} that names the invalid argument */
export function readArguments(argv: readonly string[]): FleetArguments | undefined {
  const values = parse(argv)
  if (values.help === true) return undefined
  const generation = GENERATIONS.find((name) => name === (values.generation ?? '2025-10'))
  if (generation === undefined) throw new UsageError(`--generation: expected one of ${GENERATIONS.join(', ')}`)
  const seed = Number(values.seed ?? '1')
  if (!Number.isSafeInteger(seed) || seed < 0) throw new UsageError('--seed: expected a whole number')
  const isAlone = values['without-store'] === true
  const hasOutage = values['redis-outage'] === true
  if (isAlone && hasOutage) throw new UsageError('--redis-outage: needs a Redis; leave --without-store out')
  return { generation, seed, form: isAlone ? 'without-store' : hasOutage ? 'redis-outage' : 'plain' }
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        generation: { type: 'string' },
        seed: { type: 'string' },
        'without-store': { type: 'boolean' },
        'redis-outage': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  } catch (error) {
    throw parseFailure(error)
  }
}
