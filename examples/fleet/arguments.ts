import { parseArgs } from 'node:util'
import { GENERATIONS, type Generation } from 'acestream-orchestrator-client/testing'
import { parseFailure, UsageError } from '../demo/arguments.ts'

/** What was asked for. */
export interface FleetArguments {
  generation: Generation
  seed: number
  /** `plain`: the proxies share a Redis; `without-store`: they share nothing; `redis-outage`: their Redis is down for 20 s. */
  form: 'plain' | 'without-store' | 'redis-outage'
}

export const USAGE = `Usage: npm run demo:fleet -- [options]

Three proxy processes, one Redis, one fake orchestrator with 12 engines with room for 24 viewers, and about as many viewers as fit, on all
three. Half-way one proxy is killed. Exits with 0 if every promise was kept, with 1 if not, with 2 where there is no redis-server.

  --generation NAME  of the fake orchestrator: 2025-10, 2026-04 or v1 (2025-10)
  --seed N           of what viewers do (1)
  --without-store    the same without Redis, for comparison: promises are broken then, and it exits with 0 all the same
  --redis-outage     Redis is killed for 20 s and comes back empty; then a proxy is killed. Takes about 90 s; the promises are the same, and
                     no stream that ran through the outage is ended
  --help

Compare the figures of the other two forms with those of the plain one: it has the same proxies and engines, and nothing fails but one proxy.
`

/** @throws {@link UsageError} */
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
