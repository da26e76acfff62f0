import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { FakeOrchestrator, type FakeOrchestratorOptions } from 'acestream-orchestrator-client/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { VERSION } from '../../src/version.ts'
import { type Outcome, outcomeOf } from '../client/own-process.ts'
import { PENDING_CALLS, pendingCallsModule } from '../client/pending-calls.ts'
import { streamRequests } from '../support/push-transport.ts'
import { isRedisMissing, RedisServer } from '../support/redis-server.ts'
import { chosenSupported, chosenTooOld } from './names.ts'
import { ENTRIES, FORMS, type Form, fileOf, LIVES, loadOnly, type Program, REAL_REDIS, SMOKE } from './programs.ts'
import { commandOf, makeProject, releaseOf } from './runtimes.ts'
import { answeringOnce, STYLES, unclosed } from './unclosed.ts'

const PACKAGE = 'acestream-orchestrator-client'
/** A process that has not exited by itself by then fails its test. */
const EXIT_LIMIT = { timeout: 300_000 }

let project: string
let redis: RedisServer | undefined
beforeAll(async () => {
  // Before the project: a server that runs for a while grants slots to a new fleet at once.
  if (!isRedisMissing) redis = await RedisServer.start()
  project = await makeProject()
})
afterAll(() => redis?.stop())

let files = 0

/** A path in the project that no other test uses. */
function newFile(extension: string): string {
  files += 1
  return join(project, `host-${files}.${extension}`)
}

/** Runs a file on a runtime until the process exits by itself. Other programs do not inherit the settings of the test runner. */
function runFile(
  runtime: string,
  path: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const [command, ...options] = commandOf(project, runtime)
  const { NODE_OPTIONS: _, ...inherited } = process.env
  const child = spawn(command, [...options, path, ...args], {
    cwd: project,
    env: { ...inherited, NODE_NO_WARNINGS: '1', NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return outcomeOf(child)
}

function runCode(runtime: string, code: string, args: readonly string[] = [], extension = 'mjs'): Promise<Outcome> {
  const path = newFile(extension)
  writeFileSync(path, code)
  return runFile(runtime, path, args)
}

function runProgram(runtime: string, program: Pick<Program, 'uses' | 'body'>, form: Form, args: readonly string[] = []): Promise<Outcome> {
  const { code, extension } = fileOf(program, form)
  return runCode(runtime, code, args, extension)
}

/** What a program printed as JSON. If it failed, everything that it printed. */
function resultOf({ exit, output }: Outcome): unknown {
  if (exit !== 0) return `exit ${exit}: ${output}`
  return JSON.parse(output)
}

const program = join('node_modules', PACKAGE, 'dist/cli.js')

/** A fake orchestrator on a port of this process. */
async function serve(options: FakeOrchestratorOptions): Promise<{ fake: FakeOrchestrator; url: string } & AsyncDisposable> {
  const fake = new FakeOrchestrator(options)
  const server = await fake.listen()
  return { fake, url: server.url, [Symbol.asyncDispose]: () => server.close() }
}

describe.each(chosenSupported)('on %s', (runtime) => {
  it('runs the release that the name stands for', EXIT_LIMIT, async () => {
    const outcome = await runProgram(runtime, { uses: {}, body: 'return process.versions' }, 'import')
    const { kind, release } = releaseOf(runtime)
    expect(resultOf(outcome)).toMatchObject({ [kind]: release })
  })

  describe.each(FORMS)('by %s', (form) => {
    it.each(SMOKE.map((smoke) => [smoke.title, smoke] as const))('%s', EXIT_LIMIT, async (_, smoke) => {
      await using orchestrator = await serve({ generation: 'v1', engines: 2 })
      const args = [orchestrator.url, orchestrator.fake.apiKey, newFile('db')]
      expect(resultOf(await runProgram(runtime, smoke, form, args))).toEqual(smoke.result)
    })

    it(LIVES.title, EXIT_LIMIT, async () => {
      await using orchestrator = await serve({ generation: 'v1', engines: 2 })
      const { fake, url } = orchestrator
      expect(resultOf(await runProgram(runtime, LIVES, form, [url, fake.apiKey]))).toEqual(LIVES.result)
      const { startsApplied, endsApplied, repeatedStarts, repeatedEnds, innocentsEnded, unauthorized } = fake.counters
      expect({ startsApplied, endsApplied }).toEqual({ startsApplied: 2, endsApplied: 2 })
      expect({ repeatedStarts, repeatedEnds, innocentsEnded, unauthorized }).toEqual({
        repeatedStarts: 0,
        repeatedEnds: 0,
        innocentsEnded: 0,
        unauthorized: 0,
      })
      expect(fake.liveStreamIds()).toEqual([])
    })

    it.skipIf(isRedisMissing)(REAL_REDIS.title, EXIT_LIMIT, async () => {
      const outcome = await runProgram(runtime, REAL_REDIS, form, [redis?.url ?? '', `${runtime}-${form}`])
      expect(resultOf(outcome)).toEqual(REAL_REDIS.result)
    })
  })

  describe('the command line', () => {
    it('shows its help and its version', EXIT_LIMIT, async () => {
      const help = await runFile(runtime, program, ['--help'])
      expect([help.exit, help.output]).toEqual([0, expect.stringMatching(/^Usage: npx acestream-orchestrator-client <command>/)])
      expect(await runFile(runtime, program, ['--version'])).toEqual({ exit: 0, output: `${VERSION}\n` })
    })

    it('finds no problem of an orchestrator whose engines can be reached, and lists them', EXIT_LIMIT, async () => {
      const engine = createServer().listen(0, '127.0.0.1')
      await new Promise((resolve) => engine.once('listening', resolve))
      const { port } = engine.address() as { port: number }
      await using orchestrator = await serve({ generation: 'v1', engines: [{ host: '127.0.0.1', port }] })
      const env = { ACEXY_ORCH_URL: orchestrator.url, ACEXY_ORCH_APIKEY: orchestrator.fake.apiKey }
      const doctor = await runFile(runtime, program, ['doctor'], env)
      const engines = await runFile(runtime, program, ['engines', '--json'], env)
      engine.close()
      expect([doctor.exit, doctor.output]).toEqual([0, expect.stringMatching(/reachable\n\nNo problem found.\n$/)])
      expect(resultOf(engines)).toMatchObject([{ host: '127.0.0.1', port }])
    })

    it('says in one line that an orchestrator cannot be reached, and exits with 1', EXIT_LIMIT, async () => {
      const { exit, output } = await runFile(runtime, program, ['engines', '--url', 'http://127.0.0.1:9'])
      expect(exit).toBe(1)
      expect(output).toMatch(/^GET http:\/\/127\.0\.0\.1:9\//)
      expect(output).not.toMatch(/\n {4}at /)
    })
  })

  describe.each(STYLES)('a process that is written as %s', (style) => {
    it('stays alive until each awaited call of the client has settled', EXIT_LIMIT, async () => {
      const code = pendingCallsModule(style, PACKAGE, `${PACKAGE}/testing`)
      const { exit, output } = await runCode(runtime, code)
      expect(output.trim().split('\n')).toEqual(PENDING_CALLS)
      expect(exit).toBe(0)
    })

    it('exits by itself if it did not close its client, while an event stream is open', EXIT_LIMIT, async () => {
      await using orchestrator = await serve({ generation: 'v1', engines: 2 })
      const { fake, url } = orchestrator
      await using opened = await answeringOnce(() => streamRequests(fake) > 0)
      const { exit, output } = await runCode(runtime, unclosed(style), [url, fake.apiKey, opened.url])
      expect([exit, output.trim()]).toEqual([0, 'live'])
      expect(fake.liveStreamIds()).toHaveLength(1)
      expect(streamRequests(fake)).toBe(1)
    })
  })

  it('each event is published by diagnostics_channel', EXIT_LIMIT, async () => {
    const code = `
      import { subscribe } from 'node:diagnostics_channel'
      import { OrchestratorClient } from '${PACKAGE}'
      import { FakeOrchestrator } from '${PACKAGE}/testing'
      const fake = new FakeOrchestrator({ engines: 1 })
      const client = new OrchestratorClient({ baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, transport: fake })
      const messages = []
      subscribe('${PACKAGE}:engine:acquired', ({ containerId }) => messages.push(containerId === fake.engines[0].containerId))
      await client.acquireEngine()
      await client.close()
      console.log(JSON.stringify(messages))
    `
    expect(resultOf(await runCode(runtime, code))).toEqual([true])
  })

  it('an error that nobody catches shows its message and little code', EXIT_LIMIT, async () => {
    const code = `import { OrchestratorClient } from '${PACKAGE}'\nnew OrchestratorClient({ baseUrl: 'nonsense' })`
    const { exit, output } = await runCode(runtime, code)
    expect(exit).toBe(1)
    expect(output).toContain('baseUrl: expected an absolute http or https URL')
    expect(output.length).toBeLessThan(4_000)
  })
})

/** The only line that names an error, and the exit code. */
function failureOf({ exit, output }: Outcome): unknown {
  expect(output.length).toBeLessThan(4_000)
  return { exit, errors: output.split('\n').filter((line) => /^\w*Error\b/.test(line)) }
}

describe.each(chosenTooOld)('on %s, which is too old', (runtime) => {
  const error =
    `Error: ${PACKAGE} cannot run on Node ${releaseOf(runtime).release}, which has no Promise.withResolvers: ` +
    'install Node 22.13 or newer, or a current Bun or Deno, and start this program with it'
  const failure = { exit: 1, errors: [error] }

  it.each(ENTRIES)('an import of %s/ fails with one sentence that says what to install', EXIT_LIMIT, async (entry) => {
    expect(failureOf(await runProgram(runtime, loadOnly(entry), 'import'))).toEqual(failure)
  })

  it('the command line fails with the same sentence', EXIT_LIMIT, async () => {
    expect(failureOf(await runFile(runtime, program, ['--help']))).toEqual(failure)
  })

  if (runtime === 'node-20') {
    it.each(ENTRIES)('a require() of %s/ fails with the same sentence', EXIT_LIMIT, async (entry) => {
      expect(failureOf(await runProgram(runtime, loadOnly(entry), 'require'))).toEqual(failure)
    })
  } else {
    it('a require() fails with the error of Node itself, which advises to use import()', EXIT_LIMIT, async () => {
      const { exit, output } = await runProgram(runtime, loadOnly(''), 'require')
      expect([exit, output]).toEqual([1, expect.stringContaining('dynamic import()')])
    })
  }
})
