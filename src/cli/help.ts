import type { CommandName } from './arguments.ts'

const PROGRAM = 'npx acestream-orchestrator-client'

const SUMMARIES: Readonly<Record<CommandName, string>> = {
  doctor: 'finds out what is wrong, and says what to do',
  engines: 'lists the engines',
  streams: 'lists the streams',
  watch: 'shows engines and streams, and draws them again as they change',
  acquire: 'explains which engine a viewer would get (--dry-run)',
  provision: 'requests one more engine, and waits until it is listed',
}

const DETAILS: Readonly<Record<CommandName, readonly string[]>> = {
  doctor: ['Looks from this machine at the address, the API key, the clocks and each engine.', 'Changes nothing at the orchestrator.'],
  engines: ['Lists the engines as the orchestrator does, at the addresses used from here.'],
  streams: ['Lists the streams of all proxies that have not ended.'],
  watch: ['Without a terminal it writes one line each time; with --json, one object a line.'],
  acquire: [
    'Reads the engine list, and applies the rules of acquireEngine(). Takes no slot.',
    'Leases of a running proxy are not known here, only the streams that are listed.',
  ],
  provision: ['An orchestrator may refuse, for example while its VPN is not connected.'],
}

const OPTIONS: Readonly<Partial<Record<CommandName, readonly string[]>>> = {
  doctor: ['--store URL        its store: redis://host:port or sqlite:/path (ACEXY_STORE)'],
  streams: ['--all              also streams that have ended (2025-10 lists them)'],
  watch: ['--interval SECONDS time between two looks, 2 by default', '--count NUMBER     stop after so many looks'],
  acquire: [
    '--dry-run          required: only explain',
    '--exclude ID       an engine that the viewer must not get; can be repeated',
    '--infohash KEY     the content that will be played',
    '--content-id KEY   the same, for a content id',
    '--no-provision     request no engine: unhealthy engines count too',
  ],
}

const COMMON = [
  '--url URL          address of the orchestrator (ACEXY_ORCH_URL)',
  '--key KEY          its API key (ACEXY_ORCH_APIKEY)',
  '--limit NUMBER     streams per engine, 1 (ACEXY_MAX_STREAMS_PER_ENGINE)',
  '--engine-host HOST where the engines are reached (ACEXY_ENGINE_HOST)',
  '--header "N: V"    sent with each request; can be repeated',
  '--timeout MS       limit of each request, 3000 by default',
  '--json             machine-readable output',
  '--help             this text',
]

const EXAMPLES: Readonly<Record<CommandName, readonly string[]>> = {
  doctor: [
    'doctor --url http://orchestrator:8000',
    'doctor --engine-host 192.168.1.10 --limit 2',
    'doctor --json | jq .problems',
    'doctor --store redis://redis:6379',
  ],
  engines: ['engines', 'engines --json | jq -r ".[].containerId"'],
  streams: ['streams', 'streams --all --json'],
  watch: ['watch', 'watch --interval 10 | tee engines.log'],
  acquire: ['acquire --dry-run', 'acquire --dry-run --exclude 3b0b9807906a', 'acquire --dry-run --infohash KEY --json'],
  provision: ['provision', 'provision --json'],
}

const EXIT_CODES = 'Exit codes: 0 good, 1 a problem was found or the request failed, 2 wrong usage,\n130 interrupted.'

/** The general help. */
export function generalHelp(): string {
  const commands = Object.entries(SUMMARIES).map(([name, summary]) => `  ${name.padEnd(10)} ${summary}`)
  return [
    `Usage: ${PROGRAM} <command> [options]`,
    '',
    'Commands:',
    ...commands,
    '',
    'Options of all commands:',
    ...indented(COMMON),
    '',
    'Examples:',
    ...indented([
      `${PROGRAM} doctor --url http://orchestrator:8000`,
      `ACEXY_ORCH_APIKEY=secret ${PROGRAM} watch`,
      `${PROGRAM} acquire --help`,
    ]),
    '',
    'A key on the command line is visible to other users of this machine: prefer the variable.',
    EXIT_CODES,
    '',
  ].join('\n')
}

/** The help of one command. */
export function helpOf(command: CommandName): string {
  const own = OPTIONS[command]
  return [
    `Usage: ${PROGRAM} ${command}${command === 'acquire' ? ' --dry-run' : ''} [options]`,
    '',
    `${SUMMARIES[command][0]?.toUpperCase()}${SUMMARIES[command].slice(1)}.`,
    ...DETAILS[command],
    '',
    'Options:',
    ...indented([...(own ?? []), ...COMMON]),
    '',
    'Examples:',
    ...indented(EXAMPLES[command].map((example) => `${PROGRAM} ${example}`)),
    '',
    EXIT_CODES,
    '',
  ].join('\n')
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`)
}
