import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const NAMES = ['redis-server', 'valkey-server']

/** Names of the servers that this machine has. */
export const SERVERS: readonly string[] = NAMES.filter((name) => spawnSync(name, ['--version']).status === 0)

/** One test fails where this is `true`, and says what to install; the tests that need a server are left out. */
export const isRedisMissing: boolean = SERVERS.length === 0

/** None outlives the tests, whatever ends them. */
const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** A server of this test's own, which keeps nothing on disk. */
export class RedisServer {
  readonly port: number
  readonly #binary: string
  readonly #extra: readonly string[]
  readonly #folder = mkdtempSync(join(tmpdir(), 'redis-'))
  #process: ChildProcess | undefined

  constructor(port: number, binary: string, extra: readonly string[] = []) {
    this.port = port
    this.#binary = binary
    this.#extra = extra
  }

  static async start({ binary = SERVERS[0] ?? 'redis-server', extra = [] as readonly string[] } = {}): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), binary, extra)
    await server.start()
    return server
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  async start(): Promise<void> {
    const { port } = this
    const settings = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', this.#folder]
    this.#process = spawn(this.#binary, [...settings, ...this.#extra], { stdio: 'ignore' })
    running.add(this.#process)
    await until(() => isListening(port))
  }

  /** At once, without a word to anybody; what it knew is gone. */
  async kill(): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined) return
    const exited = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGCONT')
    child.kill('SIGKILL')
    await exited
    running.delete(child)
  }

  /** The process stands still: connections stay, and nothing answers. */
  freeze(): void {
    this.#process?.kill('SIGSTOP')
  }

  thaw(): void {
    this.#process?.kill('SIGCONT')
  }

  async stop(): Promise<void> {
    await this.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const settle = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('data', (data) => settle(String(data).startsWith('+PONG')))
    socket.once('connect', () => socket.write('PING\r\n'))
    socket.once('error', () => settle(false))
  })
}

/** Polls until it is so; a test that waits in vain ends at the runner's limit. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(10)
}
