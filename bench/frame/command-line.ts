import { parseArgs } from 'node:util'
import { type Group, type MeasuredRow, passes, type Row, type Table } from './row.ts'

/** What `npm run bench` is to do. */
export interface Command {
  /** The rows to measure. */
  readonly rows: readonly Row[]
  /** The tables to measure. */
  readonly tables: readonly Table[]
  /** Exit with 1 if a goal is missed by more than is known. */
  readonly checks: boolean
  /** Write the plots into `docs/`. */
  readonly plots: boolean
  /** Write `BENCHMARKS.md` and the plots. */
  readonly writes: boolean
}

export const USAGE = `Usage: npm run bench -- [options]
  (none)           measures all rows and tables, and prints them
  --check          measures all rows, and exits with 1 if a goal is missed (by more than is known)
  --counted        only rows that do not depend on time
  --only <id>      only this row or table; can be repeated
  --plot           writes the two plots into docs/
  --write          measures everything, and writes BENCHMARKS.md and the plots`

/**
 * Reads the arguments of the command line.
 *
 * @throws an error whose message says what is wrong, if an option or an id does not exist or two options exclude each other
 */
export function commandFrom(args: readonly string[], groups: readonly Group[]): Command {
  const { check, counted, only, plot, write } = optionsFrom(args)
  if (write && (check || counted || plot || only.length > 0)) throw new Error('--write measures everything: use it alone')
  if (plot && (check || counted || only.length > 0)) throw new Error('--plot measures what the plots need: use it alone')
  const allRows = groups.flatMap(({ rows = [] }) => rows)
  const allTables = groups.flatMap(({ tables = [] }) => tables)
  const known = [...allRows, ...allTables].map(({ id }) => id)
  for (const id of only) {
    if (!known.includes(id)) throw new Error(`There is no row or table "${id}". There are: ${known.join(', ')}`)
  }
  const isChosen = ({ id }: { id: string }): boolean => only.length === 0 || only.includes(id)
  const rows = plot ? [] : allRows.filter((row) => isChosen(row) && (!counted || row.kind === 'counted'))
  const tables = plot || check || counted ? [] : allTables.filter(isChosen)
  if (rows.length + tables.length === 0 && !plot)
    throw new Error('These options leave no row to measure: --check takes rows, --counted takes counted rows')
  return { rows, tables, checks: check, plots: plot, writes: write }
}

/** The exit code after a run: 1 if the command checks goals, and one was not measured or is missed by more than is known. */
export function exitCodeOf({ checks }: Command, measured: readonly MeasuredRow[]): 0 | 1 {
  return checks && !measured.every(passes) ? 1 : 0
}

function optionsFrom(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      check: { type: 'boolean', default: false },
      counted: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      plot: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
    },
  })
  return values
}
