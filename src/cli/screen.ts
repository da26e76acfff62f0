import { hostInUrl } from '../engines/list/addresses.ts'
import type { Io } from './io.ts'

/** The meaning of a text, which decides its colour. */
export type Tone = 'good' | 'bad' | 'warning' | 'dim' | 'title'

const CODES: Readonly<Record<Tone, string>> = { good: '32', bad: '31', warning: '33', dim: '2', title: '1' }
const DEFAULT_COLUMNS = 80
const MIN_COLUMNS = 40
/** Spaces before each column. */
const INDENT = 2
/** Characters to which a wide column is cut at most. */
const MIN_WIDTH = 14
/** Characters of the last column for which wider columns are cut: `connection refused`. */
const SHOWN_OF_LAST = 18

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

  /** The text in lines that fit. The first begins with `first`, the others with as many spaces. A word that is longer than a line is broken. */
  wrap(text: string, first: string, indent: string = ' '.repeat(first.length)): string[] {
    const lines: string[] = []
    let line = ''
    const width = this.columns - indent.length
    const piece = new RegExp(`.{1,${width}}`, 'gu')
    for (const word of text.split(/\s+/).flatMap((whole) => whole.match(piece) ?? [''])) {
      if (line !== '' && line.length + 1 + word.length > width) {
        lines.push(line)
        line = word
      } else line = line === '' ? word : `${line} ${word}`
    }
    return [...lines, line].map((each, index) => (index === 0 ? first : indent) + each)
  }

  /** A table with a heading. Columns are as wide as their widest cell; if they do not fit, the widest are cut, and then the end of the line. */
  table(heading: readonly string[], rows: readonly (readonly Cell[])[]): string[] {
    const all: (readonly Cell[])[] = [heading.map((title) => [title, 'dim'] as const), ...rows]
    const wanted = heading.map((_, column) => Math.max(...all.map((row) => textOf(row[column] ?? '').length)))
    const widths = fitWidths(wanted, this.columns)
    return all.map((row) => {
      let left = this.columns
      const cells = row.map((cell, column) => {
        const isLast = column === row.length - 1
        const room = Math.max(left - INDENT, 0)
        const width = isLast ? room : Math.min(widths[column] ?? 0, room)
        const text = clip(textOf(cell), width)
        const padding = isLast ? '' : ' '.repeat(width - text.length)
        left -= INDENT + text.length + padding.length
        return ' '.repeat(text === '' && isLast ? 0 : INDENT) + (typeof cell === 'string' ? text : this.paint(text, cell[1])) + padding
      })
      return cells.join('').trimEnd()
    })
  }
}

/** The columns of a table except the last, the widest of them cut so that a part of the last column can be read. */
function fitWidths(wanted: readonly number[], columns: number): readonly number[] {
  const widths = wanted.slice(0, -1)
  const room = columns - INDENT * wanted.length - Math.min(wanted.at(-1) ?? 0, SHOWN_OF_LAST)
  for (;;) {
    const excess = widths.reduce((sum, width) => sum + width, 0) - room
    const widest = Math.max(...widths)
    if (excess <= 0 || widest <= MIN_WIDTH) return widths
    widths[widths.indexOf(widest)] = widest - 1
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
