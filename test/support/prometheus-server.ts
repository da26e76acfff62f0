import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './redis-server.ts'

/** If `true`, the tests that need Prometheus fail and say what to install. */
export const isPrometheusMissing: boolean = ['prometheus', 'promtool'].some((name) => spawnSync(name, ['--version']).status !== 0)

/** A value of an instant query. */
export interface QueryResult {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [number, string]
}

const TRIES = 600
const TRY_MS = 100

/** A real Prometheus that scrapes one target five times a second. */
export class PrometheusServer {
  readonly #folder = mkdtempSync(join(tmpdir(), 'prometheus-'))
  readonly #process: ChildProcess
  readonly #url: string
  #output = ''

  private constructor(target: string, port: number) {
    const config = {
      global: { scrape_interval: '200ms', scrape_timeout: '200ms' },
      scrape_configs: [{ job_name: 'proxy', static_configs: [{ targets: [target] }] }],
    }
    // JSON is YAML too.
    writeFileSync(join(this.#folder, 'prometheus.yml'), JSON.stringify(config))
    this.#url = `http://127.0.0.1:${port}`
    this.#process = spawn('prometheus', [
      `--config.file=${join(this.#folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(this.#folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ])
    this.#process.stderr?.on('data', (chunk) => {
      this.#output += String(chunk)
    })
  }

  /** Starts a server that scrapes `/metrics` of `target`, and waits until it answers. */
  static async start(target: string): Promise<PrometheusServer> {
    const server = new PrometheusServer(target, await freePort())
    await server.until(async () => (await fetch(`${server.#url}/-/ready`)).ok)
    return server
  }

  /** Waits until `isDone`, which may throw meanwhile. */
  async until(isDone: () => Promise<boolean>): Promise<void> {
    for (let tries = 0; tries < TRIES; tries += 1) {
      if (await isDone().catch(() => false)) return
      if (this.#process.exitCode !== null) break
      await sleep(TRY_MS)
    }
    throw new Error(`Prometheus did not get ready:\n${this.#output}`)
  }

  /** Evaluates an expression now. Throws the message of Prometheus if it is wrong. */
  async query(expression: string): Promise<readonly QueryResult[]> {
    const answer = await fetch(`${this.#url}/api/v1/query?${new URLSearchParams({ query: expression })}`)
    const { status, error, data } = (await answer.json()) as { status: string; error?: string; data?: { result: readonly QueryResult[] } }
    if (status !== 'success' || data === undefined) throw new Error(`${expression}: ${error}`)
    return data.result
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = new Promise((resolve) => this.#process.once('exit', resolve))
    this.#process.kill()
    await exited
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** What `promtool check metrics` says of an exposition: empty if all is well. */
export function lintExposition(text: string): string {
  const { stdout, stderr, status } = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' })
  return status === 0 && stdout === '' && stderr === '' ? '' : `status ${status}\n${stdout}${stderr}`
}
