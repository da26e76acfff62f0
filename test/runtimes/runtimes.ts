import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { newDirectory, npmIn, packFreshClone } from '../package/packed.ts'
import { CURRENT, chosen } from './names.ts'

const HOME = fileURLToPath(new URL('.', import.meta.url))
const ROOT_MANIFEST = fileURLToPath(new URL('../../package.json', import.meta.url))
const EXE = process.platform === 'win32' ? '.exe' : ''

/** Packages of the root manifest that entry points need, and clients of Redis. */
const PEERS = ['@opentelemetry/api', 'prom-client', 'redis']

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}

const manifestAt = (path: string): Manifest => JSON.parse(readFileSync(path, 'utf8')) as Manifest

const RUNTIMES = manifestAt(join(HOME, 'package.json'))

/** The release that a name stands for, and the field of `process.versions` that has it. */
export function releaseOf(runtime: string): { kind: 'node' | 'bun' | 'deno'; release: string } {
  const kind = runtime === 'bun' || runtime === 'deno' ? runtime : 'node'
  const release = runtime === CURRENT ? process.versions.node : RUNTIMES.dependencies[runtime]?.replace('npm:node@', '')
  if (release === undefined) throw new Error(`test/runtimes/package.json has no ${runtime}`)
  return { kind, release }
}

/** Makes a project outside of this repository that has the packed package, its peers and the chosen runtimes installed. Returns its path. */
export async function makeProject(): Promise<string> {
  const { dependencies, ...manifest } = RUNTIMES
  const { devDependencies } = manifestAt(ROOT_MANIFEST)
  const runtimes = Object.entries(dependencies).filter(([name]) => chosen.includes(name))
  const peers = PEERS.map((name) => [name, devDependencies[name]])
  return installProject({ ...manifest, dependencies: Object.fromEntries([...runtimes, ...peers]) }, join(HOME, 'package-lock.json'))
}

/** Makes a project that has the packed package installed beside the dependencies of `manifest`. The lockfile may have more packages. */
export async function installProject(manifest: Pick<Manifest, 'dependencies'>, lockfile?: string): Promise<string> {
  const project = newDirectory()
  const { tarball } = await packFreshClone()
  const dependencies = { ...manifest.dependencies, 'acestream-orchestrator-client': `file:${tarball}` }
  writeFileSync(join(project, 'package.json'), JSON.stringify({ ...manifest, dependencies }))
  if (lockfile !== undefined) cpSync(lockfile, join(project, 'package-lock.json'))
  await npmIn(project, 'install')
  return project
}

/** The command that runs a file on a runtime of a project. */
export function commandOf(project: string, runtime: string): readonly [command: string, ...options: string[]] {
  const installed = (path: string): string => join(project, 'node_modules', path)
  if (runtime === CURRENT) return [process.execPath]
  if (runtime === 'bun') return [installed('bun/bin/bun.exe')] // so named on all platforms
  if (runtime === 'deno') return [installed(`deno/deno${EXE}`), 'run', '--allow-all', '--quiet']
  return [installed(`${runtime}/bin/node${EXE}`)]
}
