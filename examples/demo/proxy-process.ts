import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { MetricsSnapshot } from 'acestream-orchestrator-client'

const MAIN = fileURLToPath(new URL('../proxy/main.ts', import.meta.url))
const START_TIMEOUT_MS = 120_000
/** Longer than the proxy needs, even on a slow machine. */
const EXIT_TIMEOUT_MS = 120_000

interface LogLine {
  level: string
  message: string
  url?: string
  metrics?: MetricsSnapshot
  undelivered?: readonly unknown[]
  rescued?: number
  viewersJoined?: number
  streamsLost?: number
  circuitOpenings?: number
}

/** The exit of a proxy. */
export interface ProxyExit {
  /** Exit code, or the signal that ended the process. */
  exitCode: number | string
  tookMs: number
  /** The last metrics of its client; `undefined` if it did not close properly. */
  metrics: MetricsSnapshot | undefined
  /** The log line `closed`; empty if it did not close properly. */
  report: Partial<LogLine>
}

/** The reference proxy in a separate process. */
export class ProxyProcess implements AsyncDisposable {
  readonly url: string
  /** Warnings and errors that the proxy logged. */
  readonly warnings: readonly string[]
  readonly #child: ChildProcess
  readonly #lines: LogLine[]
  readonly #exited: Promise<unknown[]>

  private constructor(child: ChildProcess, url: string, lines: LogLine[], warnings: string[], exited: Promise<unknown[]>) {
    this.#child = child
    this.#lines = lines
    this.#exited = exited
    this.url = url
    this.warnings = warnings
  }

  /** Starts a proxy, and waits until it listens. */
  static async start(env: Record<string, string>): Promise<ProxyProcess> {
    const child = spawn(process.execPath, [MAIN], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    const exited = once(child, 'close')
    const lines: LogLine[] = []
    const warnings: string[] = []
    createInterface(child.stderr as NodeJS.ReadableStream).on('line', (line) => warnings.push(line))
    const listening = new Promise<string>((resolve) => {
      createInterface(child.stdout as NodeJS.ReadableStream).on('line', (text) => {
        const line = toLogLine(text)
        lines.push(line)
        if (line.level === 'warn' || line.level === 'error') warnings.push(text)
        if (line.message === 'listening' && line.url !== undefined) resolve(line.url)
      })
    })
    const failed = exited.then(([code]) => Promise.reject(new Error(`the proxy exited with ${code}: ${warnings.join('\n')}`)))
    failed.catch(() => undefined)
    const timer = setTimeout(() => child.kill('SIGKILL'), START_TIMEOUT_MS)
    const url = await Promise.race([listening, failed]).finally(() => clearTimeout(timer))
    return new ProxyProcess(child, url, lines, warnings, exited)
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Reads the present metrics of its client. */
  async metrics(): Promise<MetricsSnapshot> {
    return (await (await fetch(`${this.url}/ace/status`)).json()) as MetricsSnapshot
  }

  /** Kills the proxy with SIGKILL: it cannot send anything any more. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  /** Stops the proxy with SIGTERM, and waits for its exit. Does nothing if it has already exited. */
  async stop(): Promise<ProxyExit> {
    const startedAt = performance.now()
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), EXIT_TIMEOUT_MS)
    const [code, signal] = (await this.#exited.finally(() => clearTimeout(timer))) as [number | null, string | null]
    const report: Partial<LogLine> = this.#lines.find(({ message }) => message === 'closed') ?? {}
    return { exitCode: code ?? signal ?? 'unknown', tookMs: performance.now() - startedAt, metrics: report.metrics, report }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

/** Parses a log line. A line that is no JSON is an unexpected error, so keep its text. */
function toLogLine(text: string): LogLine {
  try {
    return JSON.parse(text)
  } catch {
    return { level: 'error', message: text }
  }
}
