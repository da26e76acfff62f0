import { hostInUrl } from '../engines/list/addresses.ts'
import type { Io } from './io.ts'

/** The meaning of a text, which decides its colour. */
export type Tone = 'good' | 'bad' | 'warning' | 'dim' | 'title'

const CODES: Readonly<Record<Tone, string>> = { good: '32', bad: '31', warning: '33', dim: '2', title: '1' }
const DEFAULT_COLUMNS = 80
const MIN_COLUMNS = 40
/** Spaces before each column. */
const INDENT = 2

/** A cell of a table: a text, or a text with its tone. */
export type Cell = string | readonly [text: string, tone: Tone]

/** Lays out texts for the width of the terminal, with colours if they are wanted. */
export class Screen {
  readonly columns: number
  readonly #hasColours: boolean

  constructor({ env, isTerminal, columns }: Pick<Io, 'env' | 'isTerminal' | 'columns'>) {
    this.columns = Math.max(columns ?? DEFAULT_COLUMNS, MIN_COLUMNS)
    this.#hasColours = wantsColours(env, isTerminal)
  }

  /** The text in the colour of its tone. */
  paint(text: string, tone: Tone): string {
    return this.#hasColours ? `\u001b[${CODES[tone]}m${text}\u001b[0m` : text
  }

  /** The text in lines that fit. The first begins with `first`, the others with as many spaces. */
  wrap(text: string, first: string, indent: string = ' '.repeat(first.length)): string[] {
    const lines: string[] = []
    let line = ''
    for (const word of text.split(/\s+/)) {
      const width = this.columns - indent.length
      if (line !== '' && line.length + 1 + word.length > width) {
        lines.push(line)
        line = word
      } else line = line === '' ? word : `${line} ${word}`
    }
    return [...lines, line].map((each, index) => (index === 0 ? first : indent) + each)
  }

  /** A table with a heading. Columns are as wide as their widest cell; what does not fit into a line is cut. */
  table(heading: readonly string[], rows: readonly (readonly Cell[])[]): string[] {
    const all: (readonly Cell[])[] = [heading.map((title) => [title, 'dim'] as const), ...rows]
    const widths = heading.map((_, column) => Math.max(...all.map((row) => textOf(row[column] ?? '').length)))
    return all.map((row) => {
      let left = this.columns
      const cells = row.map((cell, column) => {
        const text = clip(textOf(cell), Math.max(left - INDENT, 0))
        const isLast = column === row.length - 1
        const padding = isLast ? '' : ' '.repeat(Math.max(Math.min((widths[column] ?? 0) - text.length, left - INDENT - text.length), 0))
        left -= INDENT + text.length + padding.length
        return ' '.repeat(text === '' && isLast ? 0 : INDENT) + (typeof cell === 'string' ? text : this.paint(text, cell[1])) + padding
      })
      return cells.join('').trimEnd()
    })
  }
}

function textOf(cell: Cell): string {
  // Text of a server must not move the cursor.
  return printable(typeof cell === 'string' ? cell : cell[0])
}

/** The text without characters that control a terminal. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '\ufffd')
}

function clip(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(width - 1, 0))}${width > 0 ? '…' : ''}`
}

/** `FORCE_COLOR` wins over `NO_COLOR`, as in Node. */
function wantsColours(env: Io['env'], isTerminal: boolean): boolean {
  const forced = env['FORCE_COLOR']
  if (forced !== undefined) return forced !== '0' && forced !== 'false'
  if (env['NO_COLOR'] !== undefined && env['NO_COLOR'] !== '') return false
  return isTerminal && env['TERM'] !== 'dumb'
}

/** The first characters of a container id, as Docker shows it. */
export function shortId(containerId: string): string {
  return /^[0-9a-f]{64}$/.test(containerId) ? containerId.slice(0, 12) : printable(containerId)
}

/** The address of an engine, as it stands in a URL. */
export function addressOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${printable(hostInUrl(host))}:${port}`
}

/** One or many of something: `1 engine`, `2 engines`. */
export function counted(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
