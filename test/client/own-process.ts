import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'

const ON_SOURCES = new URL('../examples/on-sources.ts', import.meta.url).href

/** Options of a client: every interval, time-out and time to live is a day: a process that waits for one of them never exits while the test runs. */
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

/** Runs `code`, a module, in a process of its own, on the sources. */
export function run(code: string, args: readonly string[] = []): Promise<Outcome> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code, '--', ...args], {
    cwd: new URL('../..', import.meta.url),
    env: { ...process.env, NODE_OPTIONS: `--import=${ON_SOURCES}` },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return outcomeOf(child)
}

/** Waits until a process has ended. One that is left when the test is over is killed. */
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
