import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { onTestFinished } from 'vitest'

const ON_SOURCES = new URL('../../examples/on-sources.ts', import.meta.url).href

/** Runs a module, given as `code`, in a new process that imports the library from its sources. The process is killed after the test. */
export function start(code: string, args: readonly string[]): ChildProcessByStdio<null, Readable, null> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code, '--', ...args], {
    cwd: new URL('../../..', import.meta.url),
    env: { ...process.env, NODE_OPTIONS: `--import=${ON_SOURCES}` },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  child.stdout.setEncoding('utf8')
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}
