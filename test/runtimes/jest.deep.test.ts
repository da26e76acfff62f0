import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { fencedBlocks } from '../docs/code-blocks.ts'
import { read } from '../docs/pages.ts'
import { commandOf, installProject } from './runtimes.ts'

const PACKAGE = 'acestream-orchestrator-client'
const PAGE = 'docs/testing.md'
const FLAG = '--experimental-vm-modules'
const MANIFEST = new URL('./jest/package.json', import.meta.url)

const section = /^## With Jest\n([\s\S]*?)^## /m.exec(read(PAGE))?.[1] ?? ''
/** The blocks of JavaScript in the section about Jest: as they follow each other there. */
const [typesConfig = '', stripTypes = '', babelConfig = ''] = fencedBlocks({ path: PAGE, text: section })
  .filter(({ language }) => language === 'js')
  .map(({ code }) => code)

/** The part of the examples that a reader writes. */
const OWN_CODE = `
const session = { playbackSessionId: 's', statUrl: 'http://engine/stat', commandUrl: 'http://engine/cmd' }
async function serveViewer(client) {
  const lease = await client.acquireEngine()
  const stream = await lease.startStream({ keyType: 'infohash', key: 'a'.repeat(40), session })
  await stream.end('finished')
}
`

/** The examples of the page that declare tests for \`node:test\`, as tests for Jest. Each is a module. */
const examples = fencedBlocks({ path: PAGE, text: read(PAGE) })
  .filter(({ language, code }) => language === 'ts' && /import \{ test \} from 'node:test'/.test(code))
  .map(({ code }) => `${code.replace("from 'node:test'", "from '@jest/globals'")}\n${OWN_CODE}`)

/** What the page says about fake timers, sockets and the tests of ports, and what only msw does. */
const CLAIMS = `
import { expect, jest, test } from '@jest/globals'
import { CapacityError, OrchestratorClient } from '${PACKAGE}'
import { describeClock, FakeOrchestrator, ManualClock } from '${PACKAGE}/testing'
${OWN_CODE}
const expectFull = (client) => expect(client.acquireEngine({ provision: false, waitMs: 30_000 })).rejects.toThrow(CapacityError)
test.each([false, true])('ManualClock works, and Jest has fake timers: %s', async (isFaked) => {
  if (isFaked) jest.useFakeTimers()
  const clock = new ManualClock()
  const fake = new FakeOrchestrator({ engines: 1, clock })
  const client = new OrchestratorClient({ baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, clock, transport: fake })
  const lease = await client.acquireEngine()
  const refused = expectFull(client)
  await clock.advance(30_000)
  await refused
  await lease.release()
  await client.close()
  jest.useRealTimers()
})
test('a client without a clock follows fake timers', async () => {
  jest.useFakeTimers()
  const fake = new FakeOrchestrator({ engines: 1 })
  const client = new OrchestratorClient({ baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, transport: fake })
  const lease = await client.acquireEngine()
  const refused = expectFull(client)
  await jest.advanceTimersByTimeAsync(30_000)
  await refused
  await lease.release()
  await client.close()
  jest.useRealTimers()
})
test('the default transport works', async () => {
  const fake = new FakeOrchestrator({ generation: 'v1', engines: 2 })
  const server = await fake.listen()
  const client = new OrchestratorClient({ baseUrl: server.url, apiKey: fake.apiKey })
  await serveViewer(client)
  await client.close()
  await server.close()
  expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1 })
})
describeClock(() => {
  const clock = new ManualClock()
  return { clock, advance: (ms) => clock.advance(ms), stepWallClock: (deltaMs) => clock.stepWallClock(deltaMs) }
})
`
const MSW = `
import { expect, test } from '@jest/globals'
import { OrchestratorClient } from '${PACKAGE}'
import { createHandlers, FakeOrchestrator } from '${PACKAGE}/testing'
import { setupServer } from 'msw/node'
test('createHandlers works', async () => {
  const fake = new FakeOrchestrator({ engines: 2 })
  const server = setupServer(...createHandlers(fake, 'http://orchestrator:8000'))
  server.listen({ onUnhandledFrame: 'error' })
  const client = new OrchestratorClient({ baseUrl: 'http://orchestrator:8000', apiKey: fake.apiKey })
  expect(await client.listEngines()).toHaveLength(2)
  await client.close()
  server.close()
})
`
const modules = [...examples, CLAIMS]

/** A module as CommonJS that a reader would write by hand. There the names of `@jest/globals` are declared already. */
const required = (code: string): string =>
  code
    .replace(/^import .* from '@jest\/globals'$/m, '')
    .replace(/^import (\{.*\}|\w+) from ('.*')$/gm, (_, names, path) => `const ${names} = require(${path})`)

/** A module as TypeScript. */
const typed = (code: string): string =>
  code.replaceAll('(client) {', "(client: import('acestream-orchestrator-client').OrchestratorClient) {")

let project: string
beforeAll(async () => {
  project = await installProject(JSON.parse(readFileSync(MANIFEST, 'utf8')))
})

interface Setup {
  readonly node: 'current' | 'node-22-13'
  /** The ending of the files of the tests. */
  readonly extension: 'mjs' | 'cjs' | 'ts'
  readonly modules: readonly string[]
  readonly config: string
  readonly flags?: readonly string[]
  readonly files?: Readonly<Record<string, string>>
}

interface Report {
  readonly success: boolean
  readonly numPassedTests: number
  readonly numTotalTests: number
  readonly testResults: readonly { message: string }[]
}

/** Runs Jest in a folder of its own. */
async function runJest(name: string, { node, extension, modules: contents, config, flags = [FLAG], files = {} }: Setup): Promise<Report> {
  const folder = join(project, name)
  mkdirSync(folder)
  const all = { ...files, 'jest.config.mjs': config, ...Object.fromEntries(contents.map((code, at) => [`a${at}.test.${extension}`, code])) }
  for (const [path, content] of Object.entries(all)) writeFileSync(join(folder, path), content)
  const [command, ...options] = commandOf(project, node)
  const { NODE_OPTIONS: _, ...env } = process.env
  const args = [
    ...options,
    ...flags,
    join(project, 'node_modules/jest/bin/jest.js'),
    '--json',
    '--outputFile=report.json',
    '--no-cache',
    '--runInBand',
  ]
  const output = await new Promise<string>((resolve) => {
    execFile(command, args, { cwd: folder, env: { ...env, CI: 'true', NO_COLOR: '1' } }, (_error, stdout, stderr) =>
      resolve(stdout + stderr),
    )
  })
  try {
    return JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')) as Report
  } catch {
    throw new Error(output)
  }
}

async function expectGreen(name: string, setup: Setup): Promise<void> {
  const { success, numPassedTests, numTotalTests, testResults } = await runJest(name, setup)
  expect(testResults.map(({ message }) => message).join('')).toBe('')
  expect(success).toBe(true)
  expect(numPassedTests).toBe(numTotalTests)
  expect(numTotalTests).toBeGreaterThan(setup.modules.length)
}

const PLAIN = "export default { testMatch: ['**/*.test.?js'], transform: {} }"
const TS_JEST = `export default {
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '\\\\.ts$': ['ts-jest', { useESM: true, tsconfig: { module: 'esnext', target: 'es2023' }, diagnostics: false }] },
}`
const BABEL = `export default {
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '\\\\.ts$': ['babel-jest', { presets: ['@babel/preset-typescript'] }] },
}`

describe('in Jest, the examples of the page about testing and what it says about Jest hold', () => {
  it('for ES modules, on the oldest supported Node', async () => {
    await expectGreen('esm', { node: 'node-22-13', extension: 'mjs', modules, config: PLAIN })
  })

  it('for TypeScript of which Node strips the types', async () => {
    const files = { 'strip-types.mjs': stripTypes }
    await expectGreen('strip', { node: 'current', extension: 'ts', modules: [...modules, MSW].map(typed), config: typesConfig, files })
  })

  it('for TypeScript that ts-jest compiles to ES modules', async () => {
    await expectGreen('ts-jest-esm', { node: 'current', extension: 'ts', modules: modules.map(typed), config: TS_JEST })
  })

  it('for TypeScript that Babel compiles to ES modules', async () => {
    await expectGreen('babel-esm', { node: 'current', extension: 'ts', modules: modules.map(typed), config: BABEL })
  })

  it('for CommonJS, with the flag', async () => {
    await expectGreen('cjs', { node: 'current', extension: 'cjs', modules: [...modules, MSW].map(required), config: PLAIN })
  })

  it('for TypeScript that Babel compiles to CommonJS together with this package, without the flag, on the oldest supported Node', async () => {
    await expectGreen('babel-cjs', { node: 'node-22-13', extension: 'ts', modules: modules.map(typed), config: babelConfig, flags: [] })
  })

  it('and CommonJS without the flag fails with advice from Jest', async () => {
    const { testResults } = await runJest('no-flag', {
      node: 'current',
      extension: 'cjs',
      modules: modules.map(required),
      config: PLAIN,
      flags: [],
    })
    for (const { message } of testResults) expect(message).toContain('Must use import to load ES Module')
  })
})
