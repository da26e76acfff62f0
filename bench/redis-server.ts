/** A redis-server of its own for a benchmark. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { RedisStore } from 'acestream-orchestrator-client/redis'
import type { Redis } from 'ioredis'

const OPENING_TTL_MS = 60

/** The work of the server since {@link Bench.reset}. */
export interface ServerWork {
  /** Scripts of the store. Each is one round trip: one command, and one answer. */
  scripts: number
  /** How long they blocked the server, microseconds. */
  scriptUs: number
  /** How long the longest of them blocked it, microseconds. */
  longestUs: number
  /** Bytes that all clients sent. */
  bytes: number
}

/** The folder of a server. @throws an error, if this machine has no redis-server */
function newFolder(): string {
  if (spawnSync('redis-server', ['--version']).status !== 0) throw new Error('this machine has no redis-server')
  return mkdtempSync(join(tmpdir(), 'redis-'))
}

/** A server for one benchmark, and what it has done. */
export class Bench implements AsyncDisposable {
  readonly #folder = newFolder()
  readonly #socket = join(this.#folder, 'socket')
  readonly #server = spawn('redis-server', ['--port', '0', '--unixsocket', this.#socket, '--save', '', '--dir', this.#folder], {
    stdio: 'ignore',
  })
  readonly #clients: Redis[] = []
  readonly #Redis: typeof Redis
  readonly inspector: Redis

  private constructor(client: typeof Redis) {
    this.#Redis = client
    this.inspector = this.connect()
  }

  static async start(): Promise<Bench> {
    // Not imported at the top: code that it loads makes other rows slower, such as the reading of dates.
    const ioredis = await import('ioredis')
    return new Bench(ioredis.Redis)
  }

  connect(): Redis {
    const client = new this.#Redis(this.#socket, { retryStrategy: () => 50 })
    client.on('error', () => {})
    this.#clients.push(client)
    return client
  }

  /** A Redis that is used for the first time grants no slot for one `slotTtlMs`. Waits until it grants slots, with a short one. */
  async open(name?: string): Promise<void> {
    await this.inspector.ping()
    await using opener = new RedisStore({ client: this.connect(), slotTtlMs: OPENING_TTL_MS, name })
    const candidates = [{ containerId: 'none', reportedStreamIds: [] }]
    const probe = { leaseId: 'probe', candidates, limit: 1, now: 0, expiresAt: 1 }
    while ((await opener.take(probe).catch(() => undefined)) === undefined) {
      await opener.renew()
      await sleep(OPENING_TTL_MS / 4)
    }
    await opener.releaseLease('probe')
  }

  /** Begins to count the server's work. */
  async reset(): Promise<void> {
    await this.inspector.config('SET', 'slowlog-log-slower-than', '0', 'slowlog-max-len', '100000')
    await this.inspector.call('SLOWLOG', 'RESET')
    await this.inspector.config('RESETSTAT')
  }

  async work(): Promise<ServerWork> {
    const info = await this.inspector.info('all')
    const scripts = /cmdstat_evalsha:calls=(\d+),usec=(\d+)/.exec(info)
    const slow = (await this.inspector.call('SLOWLOG', 'GET', '100000')) as [number, number, number, string[]][]
    const longest = slow.filter(([, , , [command = '']]) => command.toLowerCase() === 'evalsha').map(([, , us]) => us)
    return {
      scripts: Number(scripts?.[1] ?? 0),
      scriptUs: Number(scripts?.[2] ?? 0),
      longestUs: Math.max(0, ...longest),
      bytes: Number(/total_net_input_bytes:(\d+)/.exec(info)?.[1] ?? 0),
    }
  }

  /** What the keys of all fleets use, bytes. */
  async memory(): Promise<number> {
    const keys = await this.inspector.keys('*')
    const sizes = await Promise.all(keys.map(async (key) => Number(await this.inspector.memory('USAGE', key, 'SAMPLES', '0'))))
    return sizes.reduce((sum, size) => sum + size, 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.disconnect()
    this.#server.kill()
    await sleep(100)
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
