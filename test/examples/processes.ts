import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

const ON_SOURCES = new URL('on-sources.ts', import.meta.url).href

/** A process that a test started. */
export interface Started {
  child: ChildProcess
  /** All it wrote so far, both streams. */
  output(): string
  /** Its exit code, or the signal that ended it. */
  exit: Promise<number | string>
}

/** Starts an example, on the sources. Killed when the test is over, should it still run. */
export function startExample(path: string, args: readonly string[] = [], env: Record<string, string> = {}): Started {
  return startProcess(new URL(`../../examples/${path}`, import.meta.url), args, env)
}

/** Starts a file of TypeScript in a process of its own, on the sources. Killed when the test is over, should it still run. */
export function startProcess(file: URL, args: readonly string[] = [], env: Record<string, string> = {}): Started {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('ACEXY_'))
  const child = spawn(process.execPath, [fileURLToPath(file), ...args], {
    env: { ...Object.fromEntries(inherited), NODE_OPTIONS: `--import=${ON_SOURCES}`, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let output = ''
  const note = (text: string): void => {
    output += text
  }
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', note)
  onTestFinished(() => void child.kill('SIGKILL'))
  const exit = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string)
  return { child, output: () => output, exit }
}
