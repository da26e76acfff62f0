import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const START_TIMEOUT_MS = 120_000
const CHECK_EVERY_MS = 20
/** Pause before a retry: while Redis is down, another process may use the port for a moment. */
const PORT_PAUSE_MS = 100

/** There is no `redis-server` on this machine. */
export class NoRedisError extends Error {
  override readonly name = 'NoRedisError'

  constructor() {
    super('there is no redis-server on this machine; get one with `apt-get install redis-server` or `brew install redis`')
  }
}

/** A private redis-server on a free loopback port. It keeps nothing on disk. */
export class RedisServer implements AsyncDisposable {
  readonly url: string
  readonly #port: number
  #child: ChildProcess | undefined
  #exited: Promise<unknown> = Promise.resolve()

  private constructor(port: number) {
    this.#port = port
    this.url = `redis://127.0.0.1:${port}`
  }

  /** Starts a server. @throws {@link NoRedisError} if the machine has no redis-server */
  static async start(): Promise<RedisServer> {
    const redis = new RedisServer(await freePort())
    await redis.restart()
    return redis
  }

  /** Kills the process. All data is lost. */
  async stop(): Promise<void> {
    this.#child?.kill('SIGKILL')
    await this.#exited
  }

  /** Starts the server on the same port, without data. Resolves when it responds. */
  async restart(): Promise<void> {
    const giveUpAt = performance.now() + START_TIMEOUT_MS
    await this.#spawn()
    while (!(await responds(this.#port))) {
      if (performance.now() > giveUpAt) {
        await this.stop()
        throw new Error('redis-server did not start')
      }
      await sleep(CHECK_EVERY_MS)
      if (this.#child?.exitCode === null) continue
      await sleep(PORT_PAUSE_MS)
      await this.#spawn()
    }
  }

  async #spawn(): Promise<void> {
    const options = ['--port', String(this.#port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
    const child = spawn('redis-server', options, { stdio: 'ignore' })
    this.#child = child
    this.#exited = new Promise((resolve) => child.once('close', resolve))
    await once(child, 'spawn').catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'ENOENT' ? new NoRedisError() : error
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function responds(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    socket.write('PING\r\n')
    const [answer] = await once(socket, 'data')
    return String(answer).startsWith('+PONG')
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
