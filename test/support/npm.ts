import { type SpawnSyncReturns, spawnSync } from 'node:child_process'

/** Runs npm in a directory. On Windows npm is a batch file, which only a shell can run: there `args` must need no quotes. */
export function npmSync(args: readonly string[], cwd: string): SpawnSyncReturns<string> {
  return spawnSync('npm', args, { cwd, encoding: 'utf8', shell: process.platform === 'win32' })
}
