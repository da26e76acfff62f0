import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const SOURCE = fileURLToPath(new URL('stepped-clock.c', import.meta.url))
const COMPILER = ['gcc', 'cc', 'clang'].find((name) => spawnSync(name, ['--version']).status === 0)

/** If `true`, one test fails and says what to install: without a C compiler, a test cannot step the clock of a server. */
export const isCompilerMissing: boolean = process.platform === 'linux' && COMPILER === undefined

/** The wall clock of a server, which a test may step. The server's timers use its monotonic clock, so a step does not affect them. */
export class ServerTime implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'time-'))
  readonly #library = join(this.#folder, 'stepped-clock.so')
  readonly #path = join(this.#folder, 'seconds')
  readonly #file = openSync(this.#path, 'w+')
  #aheadS = 0

  constructor() {
    this.#write()
    const built = spawnSync(COMPILER ?? 'cc', ['-shared', '-fPIC', '-O1', '-o', this.#library, SOURCE], { encoding: 'utf8' })
    if (built.status !== 0) throw new Error(`${SOURCE} could not be compiled: ${built.stderr || built.error?.message}`)
  }

  /** The environment variables that the server needs. */
  get env(): Record<string, string> {
    return { LD_PRELOAD: this.#library, STEPPED_CLOCK_FILE: this.#path }
  }

  /** Steps the clock forward by `seconds`, or back if negative. */
  step(seconds: number): void {
    this.#aheadS += seconds
    this.#write()
  }

  [Symbol.dispose](): void {
    closeSync(this.#file)
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #write(): void {
    writeSync(this.#file, new BigInt64Array([BigInt(this.#aheadS)]), 0, 8, 0)
  }
}
