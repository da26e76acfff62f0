/** One row of a table: the text of each cell, by the title of its column. */
export type Row = Readonly<Record<string, string>>

/** A table of a Markdown page. */
export interface Table {
  /** The headings above it, outermost first. */
  readonly under: readonly string[]
  readonly columns: readonly string[]
  readonly rows: readonly Row[]
}

/** The cells of a line `| a | b |`; `\|` does not end a cell. Returns `undefined` if the line is no table row. */
function cellsOf(line: string): string[] | undefined {
  if (!line.startsWith('|')) return undefined
  const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|'))
  return cells.slice(1, -1)
}

/** All tables of a Markdown text. */
export function tablesOf(text: string): Table[] {
  const tables: Table[] = []
  let under: string[] = []
  let columns: string[] | undefined
  let rows: Row[] = []
  for (const line of [...text.split('\n'), '']) {
    const [, marks = '', heading = ''] = /^(#+) (.+)$/.exec(line) ?? []
    if (marks !== '') under = [...under.slice(0, marks.length - 1), heading]
    const cells = cellsOf(line)
    if (cells === undefined) {
      if (columns !== undefined) tables.push({ under, columns, rows })
      columns = undefined
      rows = []
    } else if (columns === undefined) columns = cells
    else if (!cells.every((cell) => /^:?-+:?$/.test(cell))) rows.push(rowOf(columns, cells, line))
  }
  return tables
}

function rowOf(columns: readonly string[], cells: readonly string[], line: string): Row {
  if (cells.length !== columns.length) throw new Error(`a row has ${cells.length} cells, and its table ${columns.length} columns: ${line}`)
  return Object.fromEntries(columns.map((column, index) => [column, cells[index] ?? '']))
}
