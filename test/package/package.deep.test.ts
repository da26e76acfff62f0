import { execFile } from 'node:child_process'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createContext, runInContext } from 'node:vm'
import { build } from 'esbuild'
import { beforeAll, describe, expect, it } from 'vitest'
import { filesUnder, pagesUnder, read } from '../docs/pages.ts'
import { newDirectory, npmIn, type Packed, packFreshClone, runIn } from './packed.ts'

const NAME = 'acestream-orchestrator-client'

/** Uses every entry point that needs no peer, given as `index`, `redis`, `sqlite` and `testing`. */
const USE = `
const use = async ({ index, redis, sqlite, testing }) => {
  const clock = new testing.ManualClock()
  const fake = new testing.FakeOrchestrator({ clock, engines: 1 })
  const store = new sqlite.SqliteStore({ path: ':memory:' })
  const client = new index.OrchestratorClient({ baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, clock, transport: fake, store })
  const lease = await client.acquireEngine()
  const session = { playbackSessionId: 's', statUrl: 'http://engine:6878/stat', commandUrl: 'http://engine:6878/cmd' }
  const stream = await lease.startStream({ keyType: 'infohash', key: 'a'.repeat(40), session })
  const { outcome } = await stream.end()
  await client.close()
  const call = async () => 1
  const redisStore = new redis.RedisStore({ client: { evalSha: call, eval: call, duplicate: () => undefined } })
  return { outcome, isOneClass: redisStore.renewIntervalMs > 0 && new index.CapacityError('full', { reason: 'full' }) instanceof index.OrchestratorError }
}
`

let packed: Packed
beforeAll(async () => {
  packed = await packFreshClone()
})

/** Makes an empty project that has this package and the named packages installed. */
async function projectWith(...packages: string[]): Promise<string> {
  const project = newDirectory()
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }')
  await npmIn(project, 'install', '--ignore-scripts', packed.tarball, ...packages)
  return project
}

async function evaluate(project: string, file: string, code: string): Promise<unknown> {
  writeFileSync(join(project, file), code)
  return JSON.parse(await runIn(project, process.execPath, '--no-warnings', file))
}

describe('npm pack in a fresh clone', () => {
  it('builds, and ships exactly the build, the pages for users, the examples, the licence and the manifest', () => {
    const pages = filesUnder('docs').filter((path) => path.endsWith('.md'))
    const examples = ['grafana', 'proxy', 'quick-start', 'servers'].flatMap((folder) => filesUnder(`examples/${folder}`))
    const expected = ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json', 'examples/README.md', ...pages, ...examples]
    expect(packed.files.filter((path) => !path.startsWith('dist/')).toSorted()).toEqual(expected.toSorted())
    expect(expected.length).toBeGreaterThan(50)
  })

  it('ships in dist/ each entry point with its types, each file that is loaded later, what they share, a map for each, and nothing else', () => {
    const built = packed.files.filter((path) => path.startsWith('dist/')).map((path) => path.slice('dist/'.length))
    const entries = ['index', 'otel', 'prometheus', 'redis', 'sqlite', 'testing']
    const named = [...entries.flatMap((name) => [`${name}.js`, `${name}.d.ts`]), 'cli.js', 'sqlite-thread.js', 'without-msw.d.ts']
    expect(built).toEqual(expect.arrayContaining(named))
    const code = built.filter((name) => name.endsWith('.js'))
    expect(built.filter((name) => name.endsWith('.map')).toSorted()).toEqual(code.map((name) => `${name}.map`).toSorted())
    const loadedLater = pagesUnder('src', /\.ts$/).flatMap(({ text }) =>
      [...text.matchAll(/\bimport\('\.[^']*?([\w-]+)\.ts'\)/g)].map(([, name = '']) => name),
    )
    const others = built.filter((name) => !name.endsWith('.map') && !named.includes(name))
    // The name of a file of the build ends in a hash. Those of the code that several entry points use begin with `chunk`.
    const [ofCode, ofTypes] = [/^([\w-]+)-[A-Z\d]{8}\.js$/, /^([a-z-]+)-[\w-]{8}\.d\.ts$/]
    const kindsOf = (pattern: RegExp): string[] => others.flatMap((name) => pattern.exec(name)?.[1] ?? []).toSorted()
    expect(others.filter((name) => !ofCode.test(name) && !ofTypes.test(name))).toEqual([])
    expect(kindsOf(ofCode).filter((name) => name !== 'chunk')).toEqual([...new Set(loadedLater)].toSorted())
    expect(kindsOf(ofTypes)).toEqual([...new Set(kindsOf(ofTypes))])
    expect(others.length).toBeLessThan(30)
  })

  it('is small: at most 1.2 MB, of which maps are more than half, and at most 4.5 MB when it is installed', async () => {
    expect(statSync(packed.tarball).size).toBeLessThan(1_200_000)
    const installed = join(await projectWith(), 'node_modules', NAME)
    const bytes = packed.files.map((path) => statSync(join(installed, path)).size)
    expect(bytes.reduce((sum, size) => sum + size, 0)).toBeLessThan(4_500_000)
  })

  it('opens two files for an import of the main entry, and no file of a dependency', async () => {
    const loaded = await evaluate(
      await projectWith(),
      'loaded.mjs',
      `import { registerHooks } from 'node:module'
      const loaded = []
      registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
      await import('${NAME}')
      console.log(JSON.stringify(loaded.map((url) => url.replace(/^.*\\/node_modules\\//, ''))))`,
    )
    expect(loaded).toEqual([`${NAME}/dist/index.js`, expect.stringMatching(`^${NAME}/dist/chunk-\\w+\\.js$`)])
  })
})

describe('the package, installed in an empty project', () => {
  let project: string
  beforeAll(async () => {
    project = await projectWith()
  })

  it('installs none of its optional peers', () => {
    expect(
      ['msw', 'redis', 'ioredis', 'prom-client', '@opentelemetry/api'].filter((name) => existsSync(join(project, 'node_modules', name))),
    ).toEqual([])
  })

  it('runs if every entry point is imported', async () => {
    const imports = ['', '/redis', '/sqlite', '/testing'].map((path) => `import('${NAME}${path}')`)
    const code = `${USE}
const [index, redis, sqlite, testing] = await Promise.all([${imports}])
console.log(JSON.stringify(await use({ index, redis, sqlite, testing })))`
    expect(await evaluate(project, 'imports.mjs', code)).toEqual({ outcome: 'delivered', isOneClass: true })
  })

  it('runs if every entry point is loaded by require()', async () => {
    const [index, redis, sqlite, testing] = ['', '/redis', '/sqlite', '/testing'].map((path) => `require('${NAME}${path}')`)
    const code = `${USE}
use({ index: ${index}, redis: ${redis}, sqlite: ${sqlite}, testing: ${testing} }).then((result) => console.log(JSON.stringify(result)))`
    expect(await evaluate(project, 'requires.cjs', code)).toEqual({ outcome: 'delivered', isOneClass: true })
  })

  it('starts the thread of SqliteStore and has one class for each error in a bundle, if the bundler leaves out what the page about stores says', async () => {
    const [, external = ''] = /esbuild: `external: \['(.+?)'\]`/.exec(read('docs/stores.md')) ?? []
    const code = `import { OrchestratorClient, StoreError } from '${NAME}'
import { SqliteStore } from '${NAME}/sqlite'
const warnings = []
const logger = { debug() {}, info() {}, error() {}, warn: (message) => warnings.push(message) }
const store = new SqliteStore({ path: 'state.db' })
await new OrchestratorClient({ baseUrl: 'http://orchestrator.test', store, logger }).close()
await store.close()
let isOneClass
try { new SqliteStore({ path: 'no/such/folder/state.db' }) } catch (error) { isOneClass = error instanceof StoreError }
console.log(JSON.stringify({ warnings, isOneClass }))`
    const stdin = { contents: code, resolveDir: project }
    const { outputFiles } = await build({ stdin, bundle: true, platform: 'node', format: 'esm', external: [external], write: false })
    expect(await evaluate(project, 'bundle.mjs', outputFiles[0]?.text ?? '')).toEqual({ warnings: [], isOneClass: true })
  })

  it('prints an uncaught error in a few lines, with its message, and not all code of the file that threw it', async () => {
    writeFileSync(
      join(project, 'uncaught.mjs'),
      `import { OrchestratorClient } from '${NAME}'\nnew OrchestratorClient({ baseURL: 'http://x' })`,
    )
    const { stderr } = await promisify(execFile)(process.execPath, ['uncaught.mjs'], { cwd: project }).catch(
      (error: { stderr: string }) => error,
    )
    expect(stderr).toContain('InvalidArgumentError: unknown option baseURL; did you mean baseUrl?')
    expect(stderr.length).toBeLessThan(4_000)
    expect(stderr.split('\n').filter((line) => line.length > 600)).toEqual([])
  })

  it('names the release of msw to install if createHandlers() finds none', async () => {
    const code = `import { createHandlers, FakeOrchestrator } from '${NAME}/testing'
try { createHandlers(new FakeOrchestrator()) } catch ({ code, message }) { console.log(JSON.stringify({ code, message })) }`
    expect(await evaluate(project, 'handlers.mjs', code)).toEqual({
      code: 'INVALID_ARGUMENT',
      message: 'msw: expected release 3 to be installed (npm install --save-dev msw@3); found none',
    })
  })

  it('has source maps that contain their sources, and name only files of src/', () => {
    const home = join(project, 'node_modules', NAME, 'dist')
    const built = packed.files.filter((path) => /^dist\/.*\.js$/.test(path)).map((path) => path.slice('dist/'.length))
    expect(built.length).toBeGreaterThan(4)
    for (const file of built) {
      const names = [...readFileSync(join(home, file), 'utf8').matchAll(/^\/\/# sourceMappingURL=(.*)$/gm)].map(([, name]) => name)
      expect(names).toEqual([`${file}.map`])
      const map = JSON.parse(readFileSync(join(home, `${file}.map`), 'utf8')) as { sources: string[]; sourcesContent: unknown[] }
      expect(map.sources.filter((source) => !source.startsWith('../src/'))).toEqual([])
      expect(map.sourcesContent.filter((content) => typeof content === 'string')).toHaveLength(map.sources.length)
    }
  })
})

/** The code of an application for browsers, bundled in a project. */
async function bundleIn(project: string, code: string): Promise<string> {
  const stdin = { contents: code, resolveDir: project }
  const { outputFiles } = await build({
    stdin,
    bundle: true,
    format: 'iife',
    platform: 'browser',
    external: ['node:*'],
    write: false,
    logLevel: 'error',
  })
  return outputFiles[0]?.text ?? ''
}

describe('an application for browsers that is bundled with the package', () => {
  const CHECK = 'cannot run on'
  const USED = `import { CapacityError } from '${NAME}'\nglobalThis.made = new CapacityError('full', { reason: 'full' }).code`
  let project: string
  beforeAll(async () => {
    project = await projectWith()
  })

  it('contains nothing of the package if it uses nothing of it', async () => {
    expect(await bundleIn(project, `import { CapacityError } from '${NAME}'\nimport '${NAME}/testing'`)).not.toContain(CHECK)
  })

  it('starts where there is no process', async () => {
    const context = createContext({ URL, TextDecoder, TextEncoder })
    runInContext(await bundleIn(project, USED), context)
    expect(context['made']).toBe('CAPACITY')
  })

  it('says at its start what an older browser lacks', async () => {
    const context = createContext({ URL, TextDecoder, TextEncoder })
    runInContext('delete Promise.withResolvers', context)
    const bundle = await bundleIn(project, USED)
    expect(() => runInContext(bundle, context)).toThrow(`${NAME} cannot run on this runtime, which has no Promise.withResolvers`)
  })
})

describe('the package beside other releases of its optional peers', () => {
  it.each(['@opentelemetry/api@1.9.0 prom-client@15.0.0', '@opentelemetry/api@1 prom-client@15'])(
    'exports its telemetry with %s',
    async (peers) => {
      const project = await projectWith(...peers.split(' '))
      const code = `import { OrchestratorClient } from '${NAME}'
import { instrument } from '${NAME}/otel'
import { collectInto } from '${NAME}/prometheus'
import { FakeOrchestrator } from '${NAME}/testing'
import { Registry } from 'prom-client'
const fake = new FakeOrchestrator({ engines: 2 })
const client = new OrchestratorClient({ baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, transport: fake })
const registry = new Registry()
const parts = [instrument(client), collectInto(registry, client)]
await client.listEngines()
const listed = /^acestream_client_engines_listed .*$/m.exec(await registry.metrics())?.[0]
for (const part of parts) part.dispose()
await client.close()
console.log(JSON.stringify({ listed, left: (await registry.metrics()).trim() }))`
      expect(await evaluate(project, 'telemetry.mjs', code)).toEqual({ listed: 'acestream_client_engines_listed 2', left: '' })
    },
  )

  it('installs beside msw 2, redis 4 and ioredis 4, and rejects them when they are used', async () => {
    const project = await projectWith('msw@2', 'redis@4', 'ioredis@4')
    const code = `import { RedisStore } from '${NAME}/redis'
import { createHandlers, FakeOrchestrator } from '${NAME}/testing'
import Redis from 'ioredis'
import { createClient, createCluster } from 'redis'
const options = { lazyConnect: true }
const refusal = (use) => { try { use(); return 'accepted' } catch ({ code, message }) { return code + ' ' + message } }
const refusals = [new Redis(options), new Redis.Cluster([{ port: 1 }], options), createClient(), createCluster({ rootNodes: [{}] })]
  .map((client) => refusal(() => new RedisStore({ client })))
console.log(JSON.stringify([...refusals, refusal(() => createHandlers(new FakeOrchestrator()))]))
process.exit()`
    const needed = 'INVALID_ARGUMENT client: expected a client of redis 5 or 6, or of ioredis 5 or 6; found a client of'
    expect(await evaluate(project, 'old.mjs', code)).toEqual([
      `${needed} ioredis 4 or older`,
      `${needed} ioredis 4 or older`,
      `${needed} redis 4`,
      `${needed} redis 4`,
      expect.stringMatching(
        /^INVALID_ARGUMENT msw: expected release 3 to be installed \(npm install --save-dev msw@3\); found 2\.\d+\.\d+$/,
      ),
    ])
  })

  it.each(['5', '6'])('accepts msw 3 and the clients of release %s of redis and ioredis', async (release) => {
    const project = await projectWith('msw@3', `redis@${release}`, `ioredis@${release}`)
    const code = `import { RedisStore } from '${NAME}/redis'
import { createHandlers, FakeOrchestrator } from '${NAME}/testing'
import { Cluster, Redis } from 'ioredis'
import { createClient, createCluster } from 'redis'
const options = { lazyConnect: true }
const clients = [new Redis(options), new Cluster([{ port: 1 }], options), createClient(), createCluster({ rootNodes: [{}] })]
const intervals = clients.map((client) => new RedisStore({ client }).renewIntervalMs)
console.log(JSON.stringify({ intervals, handlers: createHandlers(new FakeOrchestrator()).length }))
process.exit()`
    expect(await evaluate(project, 'new.mjs', code)).toEqual({ intervals: [5_000, 5_000, 5_000, 5_000], handlers: 1 })
  })
})
