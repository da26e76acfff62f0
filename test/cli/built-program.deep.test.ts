import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import { beforeAll, describe, expect, it } from 'vitest'
import { VERSION } from '../../src/version.ts'
import { newDirectory, npmIn, packFreshClone } from '../package/packed.ts'

/** What the program wrote, and how it ended. */
interface Ran {
  readonly out: string
  readonly err: string
  readonly code: number | null
}

let project: string
beforeAll(async () => {
  const packed = await packFreshClone()
  project = newDirectory()
  writeFileSync(join(project, 'package.json'), '{ "private": true }')
  await npmIn(project, 'install', '--ignore-scripts', packed.tarball)
})

/** Runs the program as `npx` does, as a process of its own. */
function runProgram(args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  const program = join(project, 'node_modules/.bin/acestream-orchestrator-client')
  return new Promise((resolve) => {
    const child = execFile(program, args, { env: { PATH: process.env['PATH'], ...env } }, (_, out, err) => {
      resolve({ out, err, code: child.exitCode })
    })
  })
}

describe('the installed program', () => {
  it('shows its version and its help, and exits with 2 after a wrong usage', async () => {
    expect(await runProgram(['--version'])).toEqual({ out: `${VERSION}\n`, err: '', code: 0 })
    expect((await runProgram(['doctor', '--help'])).out).toMatch(/^Usage: npx acestream-orchestrator-client doctor/)
    expect(await runProgram(['dance'])).toMatchObject({ out: '', code: 2 })
  })

  it('finds an orchestrator well, and ends by itself with plain lines', async () => {
    const engine = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => engine.once('listening', resolve))
    const { port } = engine.address() as { port: number }
    const fake = new FakeOrchestrator({ generation: 'v1', engines: [{ host: '127.0.0.1', port }] })
    await using server = await fake.listen()
    const env = { ACEXY_ORCH_URL: server.url, ACEXY_ORCH_APIKEY: fake.apiKey }
    const { out, err, code } = await runProgram(['doctor'], env)
    engine.close()
    expect({ err, code }).toEqual({ err: '', code: 0 })
    expect(out).toMatch(/reachable\n\nNo problem found.\n$/)
    expect(out).not.toContain('\u001b')
    const watched = await runProgram(['watch', '--count', '1', '--json'], env)
    expect(JSON.parse(watched.out)).toMatchObject({ engines: [{ port }] })
  })

  it('exits with 1 if the orchestrator cannot be reached, and shows the key nowhere', async () => {
    const fake = new FakeOrchestrator()
    const server = await fake.listen()
    await server.close()
    const { out, err, code } = await runProgram(['doctor', '--url', server.url], { ACEXY_ORCH_APIKEY: 'secret-key-0815' })
    expect(code).toBe(1)
    expect(out).toMatch(/\[connection_refused\]/)
    expect(out + err).not.toContain('secret-key-0815')
  })

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('ends at once after %s, with exit code %i', async (signal, code) => {
    const asked = Promise.withResolvers<void>()
    const server = createHttpServer(() => asked.resolve()).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as { port: number }
    const program = join(project, 'node_modules/.bin/acestream-orchestrator-client')
    const ended = Promise.withResolvers<number | null>()
    const child = execFile(program, ['doctor', '--url', `http://127.0.0.1:${port}`], () => ended.resolve(child.exitCode))
    await asked.promise
    child.kill(signal)
    expect(await ended.promise).toBe(code)
    server.closeAllConnections()
    server.close()
  })

  it('watches until it is interrupted, and then ends at once', async () => {
    const fake = new FakeOrchestrator({ engines: 1 })
    await using server = await fake.listen()
    const program = join(project, 'node_modules/.bin/acestream-orchestrator-client')
    const { promise, resolve } = Promise.withResolvers<number | null>()
    const child = execFile(program, ['watch', '--interval', '1', '--url', server.url], () => resolve(child.exitCode))
    let count = 0
    // The second look comes after a pause, which must not end the program.
    child.stdout?.on('data', () => {
      count += 1
      if (count === 2) child.kill('SIGINT')
    })
    expect(await promise).toBe(0)
  })
})
