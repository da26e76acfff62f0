import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'

const ON_SOURCES = new URL('../examples/on-sources.ts', import.meta.url).href

/** Runs `code`, a module, in a process of its own, on the sources; answers its exit code and what it printed. */
export async function run(code: string, args: readonly string[] = []): Promise<{ exit: unknown; output: string }> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code, '--', ...args], {
    cwd: new URL('../..', import.meta.url),
    env: { ...process.env, NODE_OPTIONS: `--import=${ON_SOURCES}` },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const [exitCode, signal] = await once(child, 'close')
  return { exit: exitCode ?? signal, output }
}
