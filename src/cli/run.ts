import { OrchestratorClient } from '../client.ts'
import { CapacityError, InvalidArgumentError, OrchestratorError } from '../errors.ts'
import type { OrchestratorClientOptions } from '../options/options.ts'
import { findHeaderSecrets, makeRedactor } from '../runtime/redaction.ts'
import {
  type CommandName,
  clientOptions,
  type Invocation,
  readArguments,
  readHeader,
  UsageError,
  type Values,
  withOptionNames,
} from './arguments.ts'
import { showDiagnosis } from './doctor.ts'
import { dryRun, showDryRun } from './dry-run.ts'
import { generalHelp, helpOf } from './help.ts'
import { EXIT, type ExitCode, type Io } from './io.ts'
import { isLive, showEngineList, showStreamList } from './lists.ts'
import { addressOf, printable, Screen, shortId } from './screen.ts'
import { checkStoreAt } from './store.ts'
import { watch } from './watch.ts'

/** Runs one command of the command line. Never rejects. Resolves with the exit code. */
export async function run(io: Io): Promise<ExitCode> {
  const screen = new Screen(io)
  let isJson = io.args.includes('--json')
  try {
    const invocation = readArguments(io.args)
    const { command, values } = invocation
    isJson = values.json === true
    if (command === undefined) {
      io.write(values.version ? `${io.version}\n` : generalHelp())
      return EXIT.good
    }
    if (invocation.isHelp) {
      io.write(helpOf(command))
      return EXIT.good
    }
    return await runCommand(invocation, io, screen)
  } catch (error) {
    return fail(error, io, screen, isJson)
  }
}

/** What a command needs. */
interface Call {
  readonly io: Io
  readonly values: Values
  readonly options: OrchestratorClientOptions
  readonly client: OrchestratorClient
  readonly screen: Screen
  /** Writes a result: `value` as JSON if that is wanted, the lines otherwise. */
  readonly report: (value: unknown, show: () => readonly string[]) => void
}

const COMMANDS: Readonly<Record<CommandName, (call: Call) => Promise<ExitCode>>> = {
  doctor: async ({ client, io, values, screen, report }) => {
    const { signal, connect, env } = io
    const storeUrl = (values.store ?? env['ACEXY_STORE'])?.trim() || undefined
    const store = storeUrl === undefined ? undefined : await checkStoreAt(storeUrl, io)
    const found = await client.diagnose({ signal, connect })
    const diagnosis = { ...found, problems: [...found.problems, ...(store?.problems ?? [])] }
    report({ ...diagnosis, ...(store && { store: store.address }) }, () => showDiagnosis(diagnosis, store?.address, screen))
    return diagnosis.problems.length === 0 ? EXIT.good : EXIT.problem
  },
  engines: async ({ client, io: { signal }, options, screen, report }) => {
    const engines = (await client.listEngines({ fresh: true, signal })).map((engine) => ({ ...engine, ...options.mapEngine?.(engine) }))
    report(engines, () => showEngineList(engines, limitOf(options), screen))
    return EXIT.good
  },
  streams: async ({ client, io: { signal, clock }, values, screen, report }) => {
    const listed = await client.listStreams({}, { signal })
    const streams = values.all ? listed : listed.filter(isLive)
    report(streams, () => showStreamList(streams, screen, clock.now()))
    return EXIT.good
  },
  watch: async ({ client, io, values, options }) => watch(client, limitOf(options), io, values),
  acquire: async ({ io: { signal }, values, options, screen, report }) => {
    if (!values['dry-run']) throw new UsageError('acquire needs --dry-run: a lease would end with this program')
    const mayProvision = !values['no-provision']
    const found = await dryRun(options, { exclude: values.exclude ?? [], content: contentOf(values), mayProvision, signal })
    report(found, () => showDryRun(found, screen))
    return found.engines.some(({ rank }) => rank !== undefined) ? EXIT.good : EXIT.problem
  },
  provision: async ({ client, io: { signal }, options, report }) => {
    const listed = await client.provisionEngine({ signal })
    const engine = { ...listed, ...options.mapEngine?.(listed) }
    report(engine, () => [`Engine ${shortId(engine.containerId)} is listed at ${addressOf(engine)}.`])
    return EXIT.good
  },
}

async function runCommand({ command, values }: Invocation, given: Io, screen: Screen): Promise<ExitCode> {
  const options = clientOptions(given, values)
  const client = new OrchestratorClient(options)
  // A server may repeat the key, or the token of a proxy in front of it, anywhere in its answers.
  const tokens = (values.header ?? []).map((header) => readHeader(header)[1])
  const redact = makeRedactor(options.apiKey, ...findHeaderSecrets(tokens, String(options.baseUrl)))
  // A copy would keep the size that the terminal has now.
  const io: Io = Object.create(given, { write: { value: (text: string) => given.write(redact(text)) } })
  const report: Call['report'] = (value, show) => {
    io.write(values.json ? `${JSON.stringify(value, null, 2)}\n` : `${show().join('\n')}\n`)
  }
  try {
    return await COMMANDS[command]({ io, values, options, client, screen, report })
  } catch (error) {
    throw error instanceof OrchestratorError || error instanceof UsageError ? error : new Error(redact(textOf(error)))
  } finally {
    await client.close({ timeoutMs: 0 })
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function limitOf({ maxStreamsPerEngine = 1 }: OrchestratorClientOptions): number {
  return maxStreamsPerEngine
}

function contentOf(values: Values): { keyType: 'infohash' | 'content_id'; key: string } | undefined {
  const { infohash, 'content-id': contentId } = values
  if (infohash !== undefined && contentId !== undefined) throw new UsageError('Pass --infohash or --content-id, not both')
  if (infohash !== undefined) return { keyType: 'infohash', key: infohash }
  return contentId === undefined ? undefined : { keyType: 'content_id', key: contentId }
}

/** The arguments by the names that errors of the client give them. */
const ARGUMENTS: Readonly<Record<string, string>> = {
  ACEXY_ORCH_URL: '--url (ACEXY_ORCH_URL)',
  ACEXY_ORCH_APIKEY: '--key (ACEXY_ORCH_APIKEY)',
  ACEXY_MAX_STREAMS_PER_ENGINE: '--limit (ACEXY_MAX_STREAMS_PER_ENGINE)',
  mapEngine: '--engine-host (ACEXY_ENGINE_HOST)',
  requestTimeoutMs: '--timeout',
  exclude: '--exclude',
  'content.key': '--infohash or --content-id',
}

/** Describes an error, and returns the exit code for it. */
function fail(error: unknown, io: Io, screen: Screen, isJson: boolean): ExitCode {
  const isUsage = error instanceof UsageError || error instanceof InvalidArgumentError
  const message = messageOf(error)
  if (isJson) {
    const code = error instanceof OrchestratorError ? error.code : isUsage ? 'INVALID_ARGUMENT' : 'FAILED'
    const advice = error instanceof CapacityError ? { reason: error.reason, retryAfterMs: error.retryAfterMs } : {}
    io.write(`${JSON.stringify({ error: { code, message, ...advice } }, null, 2)}\n`)
  } else {
    const hint = isUsage ? 'Run with --help for examples.' : 'Run the command doctor to find out why.'
    const lines = [...screen.wrap(printable(message), ''), ...(io.signal.aborted ? [] : [hint])]
    io.writeError(`${screen.paint(lines.join('\n'), 'bad')}\n`)
  }
  if (io.signal.aborted) return EXIT.interrupted
  return isUsage ? EXIT.usage : EXIT.problem
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return 'The program was interrupted'
  if (!(error instanceof InvalidArgumentError)) return withOptionNames(error.message)
  const [name = '', field = ''] = error.argument.split(/\.(?!key)/)
  const shown = name === 'headers' ? `--header ${field}`.trim() : (ARGUMENTS[error.argument] ?? ARGUMENTS[name])
  return shown === undefined ? error.message : `${shown}: ${error.message.replace(/^[^:]*: /, '')}`
}
