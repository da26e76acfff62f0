import { parseArgs } from 'node:util'
import type { EnvironmentOverrides } from '../options/environment.ts'
import { readOptions } from '../options/environment.ts'
import type { OrchestratorClientOptions } from '../options/options.ts'
import { expectAddress, findNearestName } from '../runtime/validate.ts'
import type { Io } from './io.ts'

/** The names of the commands. */
export const COMMANDS = ['doctor', 'engines', 'streams', 'watch', 'acquire', 'provision'] as const

/** The name of a command. */
export type CommandName = (typeof COMMANDS)[number]

/** Arguments that cannot be used. The message is for the user. */
export class UsageError extends Error {
  override name = 'UsageError'
}

const OPTIONS = {
  url: { type: 'string' },
  key: { type: 'string' },
  'engine-host': { type: 'string' },
  limit: { type: 'string' },
  timeout: { type: 'string' },
  header: { type: 'string', multiple: true },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
  store: { type: 'string' },
  all: { type: 'boolean' },
  interval: { type: 'string' },
  count: { type: 'string' },
  'dry-run': { type: 'boolean' },
  exclude: { type: 'string', multiple: true },
  infohash: { type: 'string' },
  'content-id': { type: 'string' },
  'no-provision': { type: 'boolean' },
} as const

/** Options of one command only. */
const OF_COMMAND: Readonly<Partial<Record<keyof typeof OPTIONS, CommandName>>> = {
  store: 'doctor',
  all: 'streams',
  interval: 'watch',
  count: 'watch',
  'dry-run': 'acquire',
  exclude: 'acquire',
  infohash: 'acquire',
  'content-id': 'acquire',
  'no-provision': 'acquire',
}

/** What Node's parser makes of the arguments. */
type Parsed = ReturnType<typeof parseArgs<{ options: typeof OPTIONS; allowPositionals: true }>>

/** The values of the options that were passed. */
export type Values = Parsed['values']

/** A command with its options. */
export interface Invocation {
  readonly command: CommandName
  readonly values: Values
  /** Whether only the help is wanted. */
  readonly isHelp: boolean
}

/** Reads the arguments. `undefined` as the command: the general help, or the version, is wanted. @throws {@link UsageError} */
export function readArguments(args: readonly string[]): Invocation | { readonly command: undefined; readonly values: Values } {
  const { values, positionals } = parse(args)
  const [name, ...others] = positionals
  if (values.version || (name === undefined && (values.help || args.length === 0))) return { command: undefined, values }
  if (name === 'help')
    return others[0] === undefined ? { command: undefined, values } : { command: commandOf(others[0]), values, isHelp: true }
  const command = commandOf(name)
  if (values.help) return { command, values, isHelp: true }
  if (others.length > 0)
    throw new UsageError(`After ${command} only options can follow, each with its name: for an address, write --url http://host:8000`)
  for (const [option, owner] of Object.entries(OF_COMMAND)) {
    if (option in values && owner !== command) throw new UsageError(`The option --${option} belongs to the command ${owner}`)
  }
  return { command, values, isHelp: false }
}

function parse(args: readonly string[]): Parsed {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true, strict: true })
  } catch (error) {
    // Node's message quotes the option, and may quote its value.
    const { code = '', message = '' } = error as { code?: string; message?: string }
    const option = /'(-[^'= ]*)/.exec(message)?.[1] ?? 'an option'
    throw new UsageError(
      code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION'
        ? `There is no option ${option}${suggestion(option.replace(/^-+/, ''), Object.keys(OPTIONS), '--')}`
        : `The option ${option} is used wrongly: ${expectationOf(message)}`,
    )
  }
}

function expectationOf(message: string): string {
  if (/argument missing|ambiguous/.test(message)) return 'it needs a value'
  return 'it takes no value'
}

function commandOf(name: string | undefined): CommandName {
  const command = COMMANDS.find((known) => known === name)
  if (command !== undefined) return command
  const meant = suggestion(name ?? '', COMMANDS)
  throw new UsageError(`There is no command of this name${meant || `. The commands are ${COMMANDS.join(', ')}`}`)
}

/** Suggests the known name that is most similar. It does not repeat the name that was passed, which may be a secret without its option. */
function suggestion(name: string, known: readonly string[], prefix = ''): string {
  const nearest = findNearestName(name, known)
  return nearest === undefined ? '' : `. Did you mean ${prefix}${nearest}?`
}

/** A message of the client, with the option of the command line in place of that of the client. */
export function withOptionNames(message: string): string {
  return message.replace('(requestTimeoutMs)', '(--timeout)')
}

/** Reads a whole number. @throws {@link UsageError} */
export function readCount(option: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new UsageError(`The option --${option} needs a whole number, 1 or more`)
  return Number(text)
}

/** The options of a client that makes single requests. */
const FOR_ONE_COMMAND: EnvironmentOverrides = {
  watch: false,
  circuitBreaker: false,
  healthIntervalMs: 0,
  sweepIntervalMs: 0,
  reconcileIntervalMs: 0,
  retry: { attempts: 1 },
}

/**
 * The options of the client, from the arguments and the environment. An argument wins over its variable.
 *
 * @throws {@link UsageError} if there is no address
 */
export function clientOptions({ env, overrides, clock }: Io, values: Values): OrchestratorClientOptions {
  const given = {
    ACEXY_ORCH_URL: values.url,
    ACEXY_ORCH_APIKEY: values.key,
    ACEXY_MAX_STREAMS_PER_ENGINE: values.limit,
  }
  const passed = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  const engineHost = (values['engine-host'] ?? env['ACEXY_ENGINE_HOST'])?.trim() || undefined
  if (engineHost !== undefined) expectAddress('mapEngine', { host: engineHost, port: 1 })
  const options = readOptions(
    { ...env, ...passed },
    {
      ...FOR_ONE_COMMAND,
      clock,
      ...(values.timeout === undefined ? {} : { requestTimeoutMs: readCount('timeout', values.timeout, 0) }),
      ...(values.header === undefined ? {} : { headers: values.header.map(readHeader) }),
      ...(engineHost === undefined ? {} : { mapEngine: ({ port }) => ({ host: engineHost, port }) }),
      ...overrides,
    },
  )
  if (options === undefined) throw new UsageError('Where is the orchestrator? Pass --url http://host:8000, or set ACEXY_ORCH_URL')
  return options
}

/** The name and the value in an argument of `--header`. @throws {@link UsageError} */
export function readHeader(text: string): readonly [string, string] {
  const colon = text.indexOf(':')
  if (colon < 1) throw new UsageError('The option --header needs a name and a value: --header "x-token: abc"')
  return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()]
}
