import { parseArgs } from 'node:util'
import { GENERATIONS, type Generation } from 'acestream-orchestrator-client/testing'
import { parseFailure, UsageError } from '../demo/arguments.ts'

/** What was asked for. */
export interface FleetArguments {
  generation: Generation
  seed: number
  /** Whether the proxies share a Redis, or know nothing of each other. */
  sharesState: boolean
}

export const USAGE = `Usage: npm run demo:fleet -- [options]

Three proxy processes, one Redis, one fake orchestrator with 12 engines with room for 24 viewers, and about as many viewers as fit, on all
three. Half-way one proxy is killed. Exits with 0 if every promise was kept, with 1 if not, with 2 where there is no redis-server.

  --generation NAME  of the fake orchestrator: 2025-10, 2026-04 or v1 (2025-10)
  --seed N           of what viewers do (1)
  --without-store    the same without Redis, for comparison: promises are broken then
  --help
`

/** @throws {@link UsageError} */
export function readArguments(argv: readonly string[]): FleetArguments | undefined {
  const values = parse(argv)
  if (values.help === true) return undefined
  const generation = GENERATIONS.find((name) => name === (values.generation ?? '2025-10'))
  if (generation === undefined) throw new UsageError(`--generation: expected one of ${GENERATIONS.join(', ')}`)
  const seed = Number(values.seed ?? '1')
  if (!Number.isSafeInteger(seed) || seed < 0) throw new UsageError('--seed: expected a whole number')
  return { generation, seed, sharesState: values['without-store'] !== true }
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        generation: { type: 'string' },
        seed: { type: 'string' },
        'without-store': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  } catch (error) {
    throw parseFailure(error)
  }
}
