import { parseArgs } from 'node:util'
import { GENERATIONS, type Generation } from 'acestream-orchestrator-client/testing'

/** What the demo was asked for. */
export interface DemoArguments {
  trace: string
  /** A real orchestrator; none: a fake one. */
  url: string | undefined
  apiKey: string | undefined
  generation: Generation
  /** How many times faster than it happened. */
  speed: number
  /** Streams per engine, as the proxy is told. */
  limit: number
  /** A hundred viewers at once instead of a trace. */
  isRush: boolean
  /** Whether the orchestrator fails in every way it can while the trace is replayed. */
  isChaos: boolean
  /** Of the chaos. */
  seed: number
  /** Streams per engine, as the verdict checks: another than `limit` shows what a broken promise looks like. */
  checkedLimit: number
}

/** The demo cannot run on these arguments. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export const USAGE = `Usage: node examples/demo/main.ts [options]

Replays a trace of a production proxy: real viewers, a real proxy process, real sockets. Without --url the orchestrator and its
17 engines are fakes, started here. Exits with 0 if every promise was kept, 1 if one was broken, 2 for wrong arguments.

  --trace FILE        JSON Lines (examples/traces/proxy-2025-10-12.jsonl)
  --url URL           use a real orchestrator, and its engines
  --api-key KEY       its key (testkey)
  --generation NAME   of the fake orchestrator: 2025-10, 2026-04 or v1 (2025-10)
  --rush              instead of a trace: 100 viewers within a second, at 3 engines with room for 6, and an orchestrator that needs 4 s
                      for each further engine and refuses above 10
  --chaos             meanwhile the fake orchestrator loses answers, stalls, refuses connections for 20 s, and is restarted, which
                      replaces every engine
  --seed N            of the chaos (1)
  --speed N           times faster than it happened (4; with --rush 1; with --chaos 1.5); gaps over 1 s count as 1 s
  --limit N           streams per engine (2, as in the trace)
  --help
`

/** @throws {@link UsageError} saying what is wrong; `undefined` where help was asked for */
export function readArguments(argv: readonly string[], defaultTrace: string): DemoArguments | undefined {
  const values = parse(argv)
  if (values.help) return undefined
  const generation = GENERATIONS.find((name) => name === (values.generation ?? '2025-10'))
  if (generation === undefined) throw new UsageError(`--generation: expected one of ${GENERATIONS.join(', ')}`)
  if (values.url !== undefined) checkUrl(values.url)
  const isRush = values.rush ?? false
  if (isRush && (values.url !== undefined || values.trace !== undefined)) {
    throw new UsageError('--rush: has a fake orchestrator and viewers of its own; leave --url and --trace out')
  }
  const isChaos = values.chaos ?? false
  // What is done to the fake would cut off real viewers.
  if (isChaos && (values.url !== undefined || isRush)) {
    throw new UsageError('--chaos: breaks a fake orchestrator while a trace is replayed; leave --url and --rush out')
  }
  const limit = toNumber('--limit', values.limit ?? '2', 1)
  return {
    trace: values.trace ?? defaultTrace,
    url: values.url,
    apiKey: values['api-key'],
    generation,
    speed: toNumber('--speed', values.speed ?? (isRush ? '1' : isChaos ? '1.5' : '4'), 0.1, false),
    limit,
    isRush,
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
        chaos: { type: 'boolean' },
        seed: option,
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  } catch (error) {
    throw parseFailure(error)
  }
}

/** What `parseArgs` found wrong, without the argument itself: Node quotes it, and it may be a key or a URL with a password. */
export function parseFailure(error: unknown): UsageError {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL') return new UsageError('an argument belongs to no option')
  if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') return new UsageError(`unknown option ${/--?[a-z-]*/.exec(message)?.[0] ?? ''}`)
  return new UsageError(message)
}

function checkUrl(text: string): void {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) throw new UsageError('--url: expected an http(s) URL')
  if (url.username !== '' || url.password !== '' || url.pathname.includes('@')) {
    throw new UsageError('--url: expected no user and no password; the key is given by --api-key')
  }
}

function toNumber(name: string, text: string, least: number, isWhole = true): number {
  const value = Number(text)
  if (text.trim() === '' || !(value >= least && value <= 1000) || (isWhole && !Number.isInteger(value))) {
    throw new UsageError(`${name}: expected a ${isWhole ? 'whole ' : ''}number from ${least} to 1000`)
  }
  return value
}
