import { DIGITS, isMet, type Line, type MeasuredRow, measuredValue, passes } from './row.ts'

/** Formats a figure: three digits for small ones, whole numbers for large ones. */
function formatFigure(value: number): string {
  if (!Number.isFinite(value)) return '–'
  if (Number.isInteger(value) || Math.abs(value) >= 100) return Math.round(value).toLocaleString('en')
  return String(Number(value.toPrecision(DIGITS)))
}

/** The columns of a measured row, as text. */
export function lineOf(measured: MeasuredRow): Line {
  const { row, figure, failure } = measured
  const { id, what, peer, unit, goal } = row
  const at = peer === undefined ? ` ${unit}` : ' ×'
  const cost = figure === undefined ? (failure ?? '–') : `${formatFigure(figure.cost)} ${unit}`
  return {
    id,
    what,
    cost,
    against: peer === undefined ? '–' : figure?.peer === undefined ? peer : `${peer}: ${formatFigure(figure.peer)} ${unit}`,
    measured: figure === undefined ? '–' : `${formatFigure(measuredValue(figure))}${at}`,
    goal: `≤ ${formatFigure(goal)}${at}`,
    result: resultOf(measured),
  }
}

function resultOf(measured: MeasuredRow): string {
  if (measured.figure === undefined) return 'not measured'
  if (isMet(measured)) return 'met'
  return passes(measured) ? 'missed, as known' : 'missed'
}

/** Why known goals are missed, a line for each. */
export function reasonsOf(rows: readonly MeasuredRow[]): readonly string[] {
  return rows.flatMap((measured) => {
    const { id, miss } = measured.row
    return miss === undefined || isMet(measured) ? [] : [`- **${id}** is missed. ${miss.because}`]
  })
}

/** A table of plain text, with columns that stand below each other. */
export function plainTable(lines: readonly Line[]): string {
  const cells = cellsOf(lines)
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)))
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** A table in Markdown. */
export function markdownTable(lines: readonly Line[]): string {
  const [head = [], ...rest] = cellsOf(lines).map((row) => row.map((cell) => cell.replaceAll('|', '\\|')))
  return [head, head.map(() => '---'), ...rest].map((row) => `| ${row.join(' | ')} |`).join('\n')
}

function cellsOf(lines: readonly Line[]): string[][] {
  const columns = [...new Set(lines.flatMap((line) => Object.keys(line)))]
  return [columns, ...lines.map((line) => columns.map((column) => cellOf(line[column])))]
}

function cellOf(value: string | number | undefined): string {
  return typeof value === 'number' ? formatFigure(value) : (value ?? '')
}
