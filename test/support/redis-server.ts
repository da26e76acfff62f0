import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
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

/** How a server is started. */
export interface RedisServerOptions {
  /** @default the first of {@link SERVERS} */
  readonly binary?: string
  /** Further settings, as on the command line; a later one replaces an earlier one. */
  readonly extra?: readonly string[]
  /** Further variables of its environment. */
  readonly env?: Readonly<Record<string, string>>
}

/** Settings of a server that writes all data to disk before it answers, so that a restart loses nothing. A replica is in step with it at once. */
export const ON_DISK: readonly string[] = ['--appendonly', 'yes', '--auto-aof-rewrite-percentage', '0', '--repl-diskless-sync-delay', '0']

/** A server of this test's own. By default it keeps nothing on disk. */
export class RedisServer {
  readonly port: number
  readonly #binary: string
  readonly #extra: readonly string[]
  readonly #env: Readonly<Record<string, string>>
  readonly #folder = mkdtempSync(join(tmpdir(), 'redis-'))
  #process: ChildProcess | undefined

  private constructor(port: number, { binary = SERVERS[0] ?? 'redis-server', extra = [], env = {} }: RedisServerOptions) {
    this.port = port
    this.#binary = binary
    this.#extra = extra
    this.#env = env
  }

  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), options)
    await server.start()
    return server
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  async start(): Promise<void> {
    const { port } = this
    const settings = [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--shutdown-timeout',
      '0',
      '--appendonly',
      'no',
      '--dir',
      this.#folder,
    ]
    const spawnServer = (): ChildProcess => {
      const child = spawn(this.#binary, [...settings, ...this.#extra], { stdio: 'ignore', env: { ...process.env, ...this.#env } })
      running.add(child)
      return child
    }
    this.#process = spawnServer()
    await until(async () => {
      // While it was down, another program may have got its port for a moment.
      if (this.#process !== undefined && hasExited(this.#process)) {
        running.delete(this.#process)
        this.#process = spawnServer()
      }
      const isUp = await isListening(port)
      return isUp && this.#process !== undefined && !hasExited(this.#process)
    })
  }

  /** At once, without a word to anybody. Without {@link ON_DISK}, what it knew is gone. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** The server shuts down as an operator does it. */
  async terminate(): Promise<void> {
    await this.#end('SIGTERM')
  }

  /** Carries out one command, without a client library. Answers the raw reply. */
  command(line: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.port, '127.0.0.1')
      socket.once('error', reject)
      socket.once('data', (data) => {
        socket.destroy()
        resolve(String(data))
      })
      socket.write(`${line}\r\n`)
    })
  }

  /** Deletes what a server that is not running has on disk. */
  forget(): void {
    rmSync(this.#folder, { recursive: true, force: true })
    mkdirSync(this.#folder)
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

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || hasExited(child)) return
    const exited = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGCONT')
    child.kill(signal)
    // A server that is writing its first copy to the disk ignores a request to shut down.
    const again = setInterval(() => child.kill(signal), 50)
    await exited
    clearInterval(again)
    running.delete(child)
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

const hasExited = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null

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
