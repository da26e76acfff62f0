import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

const ON_SOURCES = new URL('on-sources.ts', import.meta.url).href

/** A process that a test started. */
export interface Started {
  child: ChildProcess
  /** Everything that it has written so far to stdout and stderr. */
  output(): string
  /** Its exit code, or the signal that ended it. */
  exit: Promise<number | string>
}

/** Starts an example in a separate process, with the sources of the library. Kills it after the test if it still runs. */
export function startExample(path: string, args: readonly string[] = [], env: Record<string, string> = {}): Started {
  return startProcess(new URL(`../../examples/${path}`, import.meta.url), args, env)
}

/** Starts a TypeScript file in a separate process, with the sources of the library. Kills it after the test if it still runs. */
export function startProcess(file: URL, args: readonly string[] = [], env: Record<string, string> = {}): Started {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('ACEXY_'))
  const child = spawn(process.execPath, [fileURLToPath(file), ...args], {
    env: { ...Object.fromEntries(inherited), NODE_OPTIONS: `--import=${ON_SOURCES}`, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let output = ''
  const collect = (text: string): void => {
    output += text
  }
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', collect)
  onTestFinished(() => void child.kill('SIGKILL'))
  const exit = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string)
  return { child, output: () => output, exit }
}
