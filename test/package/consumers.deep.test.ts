import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { CONSUMERS, CONSUMERS_WITH_PEERS, type Consumer } from './consumers.ts'
import { newDirectory, npmIn, type Packed, packFreshClone, runIn } from './packed.ts'

const FIXTURES = fileURLToPath(new URL('../consumers', import.meta.url))
const ROOT_MANIFEST = fileURLToPath(new URL('../../package.json', import.meta.url))
const TYPESCRIPTS = ['5.9', '6.0', '7.0']

/** Makes a project with the files of `test/consumers`, the compilers of its lockfile, this package, and the named packages. */
async function projectWith({ tarball }: Packed, ...packages: string[]): Promise<string> {
  const project = newDirectory()
  cpSync(FIXTURES, project, { recursive: true })
  await npmIn(project, 'ci', '--ignore-scripts')
  await npmIn(project, 'install', '--ignore-scripts', '--no-save', tarball, ...packages)
  return project
}

/** The compiler's output: empty if the project compiles. */
async function compile(project: string, typescript: string, { name, files, compilerOptions }: Consumer): Promise<string> {
  const config = `tsconfig.${name.replaceAll(/\W+/g, '-')}.json`
  writeFileSync(join(project, config), JSON.stringify({ compilerOptions, files }))
  return runIn(project, process.execPath, join(project, `node_modules/typescript-${typescript}/bin/tsc`), '-p', config)
}

const matrix = (consumers: readonly Consumer[]) =>
  TYPESCRIPTS.flatMap((typescript) => consumers.map((consumer) => ({ typescript, consumer, name: consumer.name })))

describe('a host that uses the package', () => {
  let project: string
  let projectWithPeers: string
  beforeAll(async () => {
    const { devDependencies } = JSON.parse(readFileSync(ROOT_MANIFEST, 'utf8')) as { devDependencies: Record<string, string> }
    const peers = ['msw', 'redis', 'ioredis', 'prom-client', '@opentelemetry/api'].map((name) => `${name}@${devDependencies[name]}`)
    const packed = await packFreshClone()
    project = await projectWith(packed)
    projectWithPeers = await projectWith(packed, ...peers)
  })

  it.each(matrix(CONSUMERS))('compiles with TypeScript $typescript: $name', async ({ typescript, consumer }) => {
    expect(await compile(project, typescript, consumer)).toBe('')
  })

  it.each(matrix(CONSUMERS_WITH_PEERS))('compiles with TypeScript $typescript: $name', async ({ typescript, consumer }) => {
    expect(await compile(projectWithPeers, typescript, consumer)).toBe('')
  })
})
