import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { MetricsSnapshot } from 'acestream-orchestrator-client'

const MAIN = fileURLToPath(new URL('../proxy/main.ts', import.meta.url))
const START_TIMEOUT_MS = 120_000
/** Twice as long as the proxy allows itself. */
const EXIT_TIMEOUT_MS = 120_000

interface LogLine {
  level: string
  message: string
  url?: string
  metrics?: MetricsSnapshot
  undelivered?: readonly unknown[]
  rescued?: number
  streamsLost?: number
  circuitOpenings?: number
}

/** What became of the proxy. */
export interface ProxyExit {
  /** A number, or the signal that ended it. */
  exitCode: number | string
  tookMs: number
  /** Its client's last figures; none if it did not get that far. */
  metrics: MetricsSnapshot | undefined
  /** The line it closed with; empty if it did not get that far. */
  report: Partial<LogLine>
}

/** The reference proxy in a process of its own: what a host would run. */
export class ProxyProcess implements AsyncDisposable {
  readonly url: string
  /** Warnings and errors it logged. */
  readonly complaints: readonly string[]
  readonly #child: ChildProcess
  readonly #lines: LogLine[]
  readonly #exited: Promise<unknown[]>

  private constructor(child: ChildProcess, url: string, lines: LogLine[], complaints: string[], exited: Promise<unknown[]>) {
    this.#child = child
    this.#lines = lines
    this.#exited = exited
    this.url = url
    this.complaints = complaints
  }

  /** Starts it, and waits until it listens. */
  static async start(env: Record<string, string>): Promise<ProxyProcess> {
    const child = spawn(process.execPath, [MAIN], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    const exited = once(child, 'close')
    const lines: LogLine[] = []
    const complaints: string[] = []
    createInterface(child.stderr as NodeJS.ReadableStream).on('line', (line) => complaints.push(line))
    const listening = new Promise<string>((resolve) => {
      createInterface(child.stdout as NodeJS.ReadableStream).on('line', (text) => {
        const line = toLogLine(text)
        lines.push(line)
        if (line.level === 'warn' || line.level === 'error') complaints.push(text)
        if (line.message === 'listening' && line.url !== undefined) resolve(line.url)
      })
    })
    const failed = exited.then(([code]) => Promise.reject(new Error(`the proxy exited with ${code}: ${complaints.join('\n')}`)))
    failed.catch(() => undefined)
    const timer = setTimeout(() => child.kill('SIGKILL'), START_TIMEOUT_MS)
    const url = await Promise.race([listening, failed]).finally(() => clearTimeout(timer))
    return new ProxyProcess(child, url, lines, complaints, exited)
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Its client's figures now. */
  async metrics(): Promise<MetricsSnapshot> {
    return (await (await fetch(`${this.url}/ace/status`)).json()) as MetricsSnapshot
  }

  /** Kills it, as a lack of memory would: it cannot tell anybody anything any more. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  /** Asks it to stop, as a container runtime does, and waits until it is gone. Harmless where it is already. */
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

/** What is no JSON was not meant for us, and deserves to be seen all the more. */
function toLogLine(text: string): LogLine {
  try {
    return JSON.parse(text)
  } catch {
    return { level: 'error', message: text }
  }
}
