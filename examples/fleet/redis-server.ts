import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const START_TIMEOUT_MS = 120_000
const LOOK_EVERY_MS = 20

/** There is no `redis-server` on this machine. */
export class NoRedisError extends Error {
  override readonly name = 'NoRedisError'

  constructor() {
    super('there is no redis-server on this machine; get one with `apt-get install redis-server` or `brew install redis`')
  }
}

/** A Redis of our own on a free loopback port, which keeps nothing on disk. */
export class RedisServer implements AsyncDisposable {
  readonly url: string
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>

  private constructor(child: ChildProcess, exited: Promise<unknown>, port: number) {
    this.#child = child
    this.#exited = exited
    this.url = `redis://127.0.0.1:${port}`
  }

  /** @throws {@link NoRedisError} */
  static async start(): Promise<RedisServer> {
    const port = await freePort()
    const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
    const child = spawn('redis-server', options, { stdio: 'ignore' })
    const exited = new Promise((resolve) => child.once('close', resolve))
    await once(child, 'spawn').catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'ENOENT' ? new NoRedisError() : error
    })
    const redis = new RedisServer(child, exited, port)
    const giveUpAt = performance.now() + START_TIMEOUT_MS
    while (!(await answers(port))) {
      if (performance.now() > giveUpAt || child.exitCode !== null) {
        await redis[Symbol.asyncDispose]()
        throw new Error('redis-server did not start')
      }
      await sleep(LOOK_EVERY_MS)
    }
    return redis
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
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

async function answers(port: number): Promise<boolean> {
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
