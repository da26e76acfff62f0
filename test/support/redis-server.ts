import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const NAMES = ['redis-server', 'valkey-server']

/** The names of the server programs that are installed on this machine. */
export const SERVERS: readonly string[] = NAMES.filter((name) => spawnSync(name, ['--version']).status === 0)

/** If `true`, the tests that need a server are skipped, and one test fails and says what to install. */
export const isRedisMissing: boolean = SERVERS.length === 0

/** Killed when the process of the tests exits for any reason. */
const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Options for starting a server. */
export interface RedisServerOptions {
  /** @default the first of {@link SERVERS} */
  readonly binary?: string
  /** Additional settings, as on the command line. They override the default settings. */
  readonly extra?: readonly string[]
  /** Additional environment variables. */
  readonly env?: Readonly<Record<string, string>>
}

/** Settings of a server that writes all data to disk before it answers, so that a restart loses nothing. Replicas synchronize without delay. */
export const ON_DISK: readonly string[] = ['--appendonly', 'yes', '--auto-aof-rewrite-percentage', '0', '--repl-diskless-sync-delay', '0']

/** A server for one test. By default it keeps nothing on disk. */
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
      // Another program may have taken the port for a moment while the server was down: start it again.
      if (this.#process !== undefined && hasExited(this.#process)) {
        running.delete(this.#process)
        this.#process = spawnServer()
      }
      const isUp = await isListening(port)
      return isUp && this.#process !== undefined && !hasExited(this.#process)
    })
  }

  /** Kills the server at once, without a shutdown. Its data is lost unless it was started with {@link ON_DISK}. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** Shuts the server down, as an operator does. */
  async terminate(): Promise<void> {
    await this.#end('SIGTERM')
  }

  /** Sends one command without a client library. Resolves with the raw reply. */
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

  /** Deletes the server's data on disk. The server must not be running. */
  deleteData(): void {
    rmSync(this.#folder, { recursive: true, force: true })
    mkdirSync(this.#folder)
  }

  /** Suspends the process: connections stay open, and no command is answered. */
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

/** Polls until `isSo` returns true. If that never happens, the time limit of the test runner ends the test. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(10)
}
