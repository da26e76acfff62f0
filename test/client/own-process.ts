import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'

const ON_SOURCES = new URL('../examples/on-sources.ts', import.meta.url).href
/** Node 22 warns that its SQLite is experimental. */
const NODE_OPTIONS = `--import=${ON_SOURCES} --disable-warning=ExperimentalWarning`

/** Client options with intervals, time-outs and times to live of one day. A process that waits for one of them outlives the test. */
export const A_DAY: Readonly<Record<string, number>> = Object.fromEntries(
  [
    'cacheTtlMs',
    'deliveryTimeoutMs',
    'healthIntervalMs',
    'leaseTtlMs',
    'provisionTimeoutMs',
    'reconcileIntervalMs',
    'requestTimeoutMs',
    'sweepIntervalMs',
  ].map((name) => [name, 86_400_000]),
)

/** How a process ended, and what it printed. */
export interface Outcome {
  readonly exit: unknown
  readonly output: string
}

/** Runs `code` as a module in a new process, on the sources of the package instead of its build. */
export function run(code: string, args: readonly string[] = []): Promise<Outcome> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code, '--', ...args], {
    cwd: new URL('../..', import.meta.url),
    env: { ...process.env, NODE_OPTIONS },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return outcomeOf(child)
}

/** Waits until a process has ended. Kills it after the test if it still runs. */
export async function outcomeOf(child: ChildProcess): Promise<Outcome> {
  onTestFinished(() => void child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const [exitCode, signal] = await once(child, 'close')
  return { exit: exitCode ?? signal, output }
}
