import type { Viewer, ViewerState } from './viewer.ts'
import type { EngineRow } from './world.ts'

/** The state of the demo to show. */
export interface Scene {
  elapsedMs: number
  viewers: readonly Viewer[]
  expectedViewers: number
  engines: readonly EngineRow[]
  limit: number
}

/** Shows the progress of the demo: on a terminal a table that is redrawn, otherwise a line every 2 s. */
export class Screen {
  readonly #out: NodeJS.WriteStream
  #drawnLines = 0
  #nextLineAt = 0

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
  }

  /** Shows the present state. */
  show(scene: Scene): void {
    if (this.#out.isTTY) {
      this.#redraw([summary(scene), '', ...table(scene), ''])
    } else if (scene.elapsedMs >= this.#nextLineAt) {
      this.#nextLineAt = scene.elapsedMs + 2_000
      this.#out.write(`${summary(scene)}\n`)
    }
  }

  /** Prints a line below the table. */
  print(text: string): void {
    this.#drawnLines = 0
    this.#out.write(`${text}\n`)
  }

  #redraw(lines: readonly string[]): void {
    const fitting = lines.slice(0, Math.max(3, (this.#out.rows ?? 24) - 1))
    const up = this.#drawnLines === 0 ? '' : `\u001B[${this.#drawnLines}A`
    this.#out.write(`${up}${fitting.map((line) => `\u001B[2K${line.slice(0, this.#out.columns || 80)}\n`).join('')}\u001B[0J`)
    this.#drawnLines = fitting.length
  }
}

/** Counts the viewers in this state. */
export function countOf(viewers: readonly Pick<Viewer, 'state'>[], state: ViewerState): number {
  return viewers.filter((viewer) => viewer.state === state).length
}

/** Number of bytes that all viewers have read. */
export function bytesOf(viewers: readonly Pick<Viewer, 'bytes'>[]): number {
  return viewers.reduce((sum, { bytes }) => sum + bytes, 0)
}

function summary({ elapsedMs, viewers, expectedViewers, engines, limit }: Scene): string {
  const count = (state: ViewerState): string => `${countOf(viewers, state)} ${state}`
  const peak = Math.max(0, ...engines.map((engine) => engine.peak))
  return [
    `${(elapsedMs / 1000).toFixed(1).padStart(5)} s`,
    `${viewers.length} of ${expectedViewers} viewers`,
    count('watching'),
    count('waiting'),
    count('refused'),
    `${(bytesOf(viewers) / 1e6).toFixed(1)} MB`,
    `busiest engine ${peak} of ${limit}`,
  ].join(' · ')
}

function table({ engines, limit }: Scene): string[] {
  const width = Math.max(10, ...engines.map(({ name }) => name.length))
  const rows = engines.map(({ name, load, peak }) => {
    const bar = '■'.repeat(load) + '·'.repeat(Math.max(0, limit - load))
    return `  ${name.padEnd(width)}  ${bar.padEnd(limit + 2)}  ${load}   peak ${peak}`
  })
  return [`  ${'engine'.padEnd(width)}  load`, ...rows]
}
