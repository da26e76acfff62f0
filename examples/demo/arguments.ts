import { parseArgs } from 'node:util'
import { GENERATIONS, type Generation } from 'acestream-orchestrator-client/testing'

/** The parsed arguments of the demo. */
export interface DemoArguments {
  /** Path of the trace file. */
  trace: string
  /** URL of a real orchestrator. `undefined`: use a fake one. */
  url: string | undefined
  apiKey: string | undefined
  generation: Generation
  /** Factor by which the demo runs faster than the trace. */
  speed: number
  /** Limit of streams per engine that the proxy uses. */
  limit: number
  /** Whether 100 viewers come within a second, instead of a trace. */
  isRush: boolean
  /** Whether 500 viewers of five contents come within 10 s, instead of a trace. */
  isCrowd: boolean
  /** Whether the proxy stays open until Ctrl-C. */
  staysOpen: boolean
  /** Whether the orchestrator fails in many ways during the trace. */
  isChaos: boolean
  /** Seed of the chaos. */
  seed: number
  /** Limit of streams per engine that the verdict checks. A lower value than `limit` shows a broken promise. */
  checkedLimit: number
}

/** The arguments are invalid. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export const USAGE = `Usage: node examples/demo/main.ts [options]

Replays a trace of a production proxy with real players, a real proxy process and real sockets. Without --url it starts a fake
orchestrator with 17 fake engines. Exits with 0 if every promise was kept, 1 if one was broken, 2 for invalid arguments.

  --trace FILE        the trace, in JSON Lines (examples/traces/proxy-2025-10-12.jsonl)
  --url URL           a real orchestrator, with its engines
  --api-key KEY       its API key (testkey)
  --generation NAME   generation of the fake orchestrator: 2025-10, 2026-04 or v1 (2025-10)
  --rush              instead of a trace, 100 viewers come within a second to 3 engines with 6 slots; the orchestrator needs 4 s for
                      each further engine, and refuses more than 10
  --crowd             instead of a trace, 500 viewers of 5 contents come within 10 s to 5 engines
  --chaos             during the trace, the fake orchestrator loses responses, stalls, refuses connections for 20 s, and restarts,
                      which replaces every engine
  --keep              the proxy and its status page stay open until Ctrl-C
  --seed N            seed of the chaos (1)
  --speed N           factor by which time runs faster (4; with --rush or --crowd 1; with --chaos 1.5); gaps over 1 s count as 1 s
  --limit N           maximum number of streams per engine (2, as in the trace)
  --help
`

/** Parses the arguments. Returns `undefined` for --help. @throws {@link UsageError} that names the invalid argument */
export function readArguments(argv: readonly string[], defaultTrace: string): DemoArguments | undefined {
  const values = parse(argv)
  if (values.help) return undefined
  const generation = GENERATIONS.find((name) => name === (values.generation ?? '2025-10'))
  if (generation === undefined) throw new UsageError(`--generation: expected one of ${GENERATIONS.join(', ')}`)
  if (values.url !== undefined) checkUrl(values.url)
  const { rush: isRush = false, crowd: isCrowd = false } = values
  if ((isRush || isCrowd) && (values.url !== undefined || values.trace !== undefined || isRush === isCrowd)) {
    throw new UsageError(
      `--${isRush ? 'rush' : 'crowd'}: uses its own fake orchestrator and viewers; leave --url, --trace and the other out`,
    )
  }
  const isChaos = values.chaos ?? false
  // Only for a fake: a restart of a real orchestrator would cut off real viewers.
  if (isChaos && (values.url !== undefined || isRush || isCrowd)) {
    throw new UsageError('--chaos: breaks a fake orchestrator while a trace is replayed; leave --url, --rush and --crowd out')
  }
  const limit = toNumber('--limit', values.limit ?? '2', 1)
  return {
    trace: values.trace ?? defaultTrace,
    url: values.url,
    apiKey: values['api-key'],
    generation,
    speed: toNumber('--speed', values.speed ?? (isRush || isCrowd ? '1' : isChaos ? '1.5' : '4'), 0.1, false),
    limit,
    isRush,
    isCrowd,
    staysOpen: values.keep ?? false,
    isChaos,
    seed: toNumber('--seed', values.seed ?? '1', 0),
    checkedLimit: toNumber('--checked-limit', values['checked-limit'] ?? String(limit), 0),
  }
}

function parse(argv: readonly string[]) {
  const option = { type: 'string' } as const
  try {
    return parseArgs({
      args: [...argv],
      options: {
        trace: option,
        url: option,
        'api-key': option,
        generation: option,
        speed: option,
        limit: option,
        'checked-limit': option,
        rush: { type: 'boolean' },
        crowd: { type: 'boolean' },
        keep: { type: 'boolean' },
        chaos: { type: 'boolean' },
        seed: option,
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  } catch (error) {
    throw parseFailure(error)
  }
}

/** Converts an error of `parseArgs`. Leaves out the argument, which Node quotes: it may be a key or a URL with a password. */
export function parseFailure(error: unknown): UsageError {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL') return new UsageError('unexpected argument without an option')
  if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') return new UsageError(`unknown option ${/--?[a-z-]*/.exec(message)?.[0] ?? ''}`)
  return new UsageError(message)
}

function checkUrl(text: string): void {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) throw new UsageError('--url: expected an http(s) URL')
  if (url.username !== '' || url.password !== '' || url.pathname.includes('@')) {
    throw new UsageError('--url: expected no user and no password; pass the key with --api-key')
  }
}

function toNumber(name: string, text: string, least: number, isWhole = true): number {
  const value = Number(text)
  if (text.trim() === '' || !(value >= least && value <= 1000) || (isWhole && !Number.isInteger(value))) {
    throw new UsageError(`${name}: expected a ${isWhole ? 'whole ' : ''}number from ${least} to 1000`)
  }
  return value
}
