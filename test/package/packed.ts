import { execFile } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll } from 'vitest'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const NPM_SETTINGS = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error']
const run = promisify(execFile)

/** A package as a registry would get it. */
export interface Packed {
  /** Path of the file. */
  readonly tarball: string
  /** Paths inside. */
  readonly files: readonly string[]
}

/** Runs a command in a directory. Rejects with its output if it fails. */
export async function runIn(cwd: string, command: string, ...args: string[]): Promise<string> {
  const { NODE_OPTIONS: _, ...env } = process.env
  try {
    return (await run(command, args, { cwd, env, maxBuffer: 2 ** 26 })).stdout
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    throw new Error(`${command} ${args.join(' ')}\n${stdout}${stderr}`, { cause: error })
  }
}

/** Runs npm in a directory. On Windows npm is a script of the shell. */
export const npmIn = (cwd: string, ...args: string[]): Promise<string> =>
  process.platform === 'win32'
    ? runIn(cwd, 'cmd', '/d', '/c', 'npm', ...args, ...NPM_SETTINGS)
    : runIn(cwd, 'npm', ...args, ...NPM_SETTINGS)

/** An empty directory outside of this repository, so that no package installed here is found from there. Removed after the tests. */
export function newDirectory(): string {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'package-')))
  directories.push(path)
  return path
}

const directories: string[] = []
afterAll(() => {
  for (const path of directories) rmSync(path, { recursive: true, force: true })
})

/**
 * Packs a fresh clone: copies the files that git does not ignore, as they are now, to an empty directory without a build. Its dependencies
 * are those that `npm ci` has installed in this repository.
 */
export async function packFreshClone(): Promise<Packed> {
  const clone = newDirectory()
  const paths = await runIn(ROOT, 'git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard')
  for (const path of paths.split('\0')) {
    if (path === '' || !existsSync(join(ROOT, path))) continue
    mkdirSync(join(clone, dirname(path)), { recursive: true })
    copyFileSync(join(ROOT, path), join(clone, path))
  }
  // Windows allows everybody to make a junction. Elsewhere it is a symbolic link.
  symlinkSync(join(ROOT, 'node_modules'), join(clone, 'node_modules'), 'junction')
  const [packed] = JSON.parse(await npmIn(clone, 'pack', '--json')) as [{ filename: string; files: readonly { path: string }[] }]
  return { tarball: join(clone, packed.filename), files: packed.files.map(({ path }) => path) }
}
