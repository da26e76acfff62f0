import { spawn } from 'node:child_process'
import { cpSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import { beforeAll, describe, expect, it } from 'vitest'
import { newDirectory, npmIn, packFreshClone } from '../package/packed.ts'
import { streamRequests } from '../support/push-transport.ts'
import { type Outcome, outcomeOf } from './own-process.ts'
import { PENDING_CALLS, pendingCallsModule } from './pending-calls.ts'

const RUNTIMES = fileURLToPath(new URL('../runtimes', import.meta.url))
const FORMS = ['top-level await', 'async main()'] as const
/** A process that has not exited by then fails its test. */
const EXIT_LIMIT = { timeout: 300_000 }

/** A project that has the built package and the runtimes of `test/runtimes` installed. */
let project: string
beforeAll(async () => {
  project = newDirectory()
  cpSync(RUNTIMES, project, { recursive: true, filter: (path) => !path.includes('node_modules') })
  await npmIn(project, 'ci')
  const { tarball } = await packFreshClone()
  await npmIn(project, 'install', '--no-save', '--ignore-scripts', tarball)
})

const commands = {
  Node: () => [process.execPath],
  Bun: () => [join(project, 'node_modules/.bin/bun')],
  Deno: () => [join(project, 'node_modules/.bin/deno'), 'run', '--allow-all', '--quiet'],
} as const

let modules = 0

/** Runs `code` as a module on a runtime, with the package as it is published. */
function runOn(runtime: keyof typeof commands, code: string, args: readonly string[] = []): Promise<Outcome> {
  modules += 1
  const path = join(project, `host-${modules}.mjs`)
  writeFileSync(path, code)
  const [command = '', ...options] = commands[runtime]()
  const { NODE_OPTIONS: _, ...env } = process.env
  return outcomeOf(spawn(command, [...options, path, ...args], { cwd: project, env, stdio: ['ignore', 'pipe', 'pipe'] }))
}

/** The code of a module that never closes its client. The URL `opened` answers once the event stream has been requested. */
const unclosed = (form: (typeof FORMS)[number]) => {
  const steps = `
    const [, , baseUrl, apiKey, opened] = process.argv
    const client = new OrchestratorClient({ baseUrl, apiKey })
    const lease = await client.acquireEngine()
    const stream = await lease.startStream({
      keyType: 'infohash',
      key: 'a'.repeat(40),
      session: { playbackSessionId: 's', statUrl: 'http://engine/stat', commandUrl: 'http://engine/cmd' },
    })
    await (await fetch(opened)).text()
    console.log(stream.state)
  `
  const imports = "import process from 'node:process'\nimport { OrchestratorClient } from 'acestream-orchestrator-client'"
  return form === 'top-level await' ? `${imports}\n${steps}` : `${imports}\nasync function main() {\n${steps}\n}\nmain()`
}

/** A server whose URL answers as soon as `isReady()` is true. */
async function answeringOnce(isReady: () => boolean): Promise<{ url: string } & AsyncDisposable> {
  const server = createServer((_, response) => {
    response.setHeader('connection', 'close')
    const poll = (): void => void (isReady() ? response.end('ready') : setImmediate(poll))
    poll()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('expected a port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

describe.each(['Node', 'Bun', 'Deno'] as const)('on %s', (runtime) => {
  describe.each(FORMS)('a process that is written as %s', (form) => {
    it('stays alive until each awaited call of the client has settled', EXIT_LIMIT, async () => {
      const code = pendingCallsModule(form, 'acestream-orchestrator-client', 'acestream-orchestrator-client/testing')
      const { exit, output } = await runOn(runtime, code)
      expect(output.trim().split('\n')).toEqual(PENDING_CALLS)
      expect(exit).toBe(0)
    })

    it('exits by itself if it did not close its client, while an event stream is open', EXIT_LIMIT, async () => {
      const fake = new FakeOrchestrator({ generation: 'v1', engines: 2 })
      await using server = await fake.listen()
      await using opened = await answeringOnce(() => streamRequests(fake) > 0)
      const { exit, output } = await runOn(runtime, unclosed(form), [server.url, fake.apiKey, opened.url])
      expect([exit, output.trim()]).toEqual([0, 'live'])
      expect(fake.liveStreamIds()).toHaveLength(1)
      expect(streamRequests(fake)).toBe(1)
    })
  })

  it('each event is published by diagnostics_channel', EXIT_LIMIT, async () => {
    const code = `
      import { subscribe } from 'node:diagnostics_channel'
      import { OrchestratorClient } from 'acestream-orchestrator-client'
      import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
      const fake = new FakeOrchestrator({ engines: 1 })
      const client = new OrchestratorClient({ baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, transport: fake })
      const messages = []
      subscribe('acestream-orchestrator-client:engine:acquired', ({ containerId }) => messages.push(containerId === fake.engines[0].containerId))
      await client.acquireEngine()
      await client.close()
      console.log(JSON.stringify(messages))
    `
    const { exit, output } = await runOn(runtime, code)
    expect([exit, JSON.parse(output)]).toEqual([0, [true]])
  })

  it('a thread writes the file of a SqliteStore, and the next process recovers its entries', EXIT_LIMIT, async () => {
    const code = `
      import process from 'node:process'
      import { OrchestratorClient } from 'acestream-orchestrator-client'
      import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
      const lines = []
      const keep = (line) => lines.push(line)
      const logger = { debug: keep, info: keep, warn: keep, error: keep }
      const store = new SqliteStore({ path: process.argv[2] })
      const recovered = store.recover().length
      new OrchestratorClient({ baseUrl: 'http://orchestrator.test', store, logger })
      const entries = Array.from({ length: 100 }, (_, index) => ({ streamId: String(index), proxyId: 'p', isOver: false }))
      await Promise.all(entries.map((entry) => store.append(entry)))
      console.log(JSON.stringify({ recovered, lines, isDurable: store.isDurable }))
    `
    const path = join(project, `${runtime}.db`)
    const outcomes = [await runOn(runtime, code, [path]), await runOn(runtime, code, [path])]
    expect(outcomes.map(({ exit }) => exit)).toEqual([0, 0])
    expect(outcomes.map(({ output }) => JSON.parse(output))).toEqual([
      { recovered: 0, lines: [], isDurable: true },
      { recovered: 100, lines: [], isDurable: true },
    ])
  })
})
