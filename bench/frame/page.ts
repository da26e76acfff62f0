/** The generated part of `BENCHMARKS.md`. */
import type { Group, Line, MeasuredRow } from './row.ts'
import { lineOf, markdownTable, reasonsOf } from './table.ts'

/** Lines of the page that enclose what `npm run bench -- --write` writes. */
export const BEGIN = '<!-- Written by `npm run bench -- --write`. Do not edit. -->'
export const END = '<!-- End of what was written. -->'

/** The computer on which was measured. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly node: string
  /** The day, as `2026-01-31`. */
  readonly date: string
}

/** What one group has measured. */
export interface GroupResult {
  readonly group: Group
  readonly rows: readonly MeasuredRow[]
  /** The lines of the tables, in their order. */
  readonly tables: readonly (readonly Line[])[]
}

/** Replaces the generated part of a page. @throws an error, if the page has no such part */
export function pageWith(page: string, generated: string): string {
  const begin = page.indexOf(BEGIN)
  const end = page.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`BENCHMARKS.md needs the lines "${BEGIN}" and "${END}"`)
  return `${page.slice(0, begin)}${BEGIN}\n\n${generated}\n\n${page.slice(end)}`
}

/** The generated part: the machine, the plots by file, and a section for each group. */
export function generatedPart(machine: Machine, results: readonly GroupResult[], plots: Readonly<Record<string, string>>): string {
  const { cpu, cores, node, date } = machine
  const images = Object.entries(plots).map(([file, what]) => `![${what}](docs/${file})`)
  const intro = `Measured with \`npm run bench -- --write\` on ${date}: ${cpu}, ${cores} cores, Node.js ${node}.`
  return [intro, ...images, ...results.map(sectionOf)].join('\n\n')
}

function sectionOf({ group, rows, tables }: GroupResult): string {
  const parts = [`## ${group.title}`, group.about]
  if (rows.length > 0) parts.push(markdownTable(rows.map(lineOf)))
  const reasons = reasonsOf(rows)
  if (reasons.length > 0) parts.push(reasons.join('\n'))
  for (const [index, lines] of tables.entries())
    parts.push(`**${group.tables?.[index]?.title}** (\`${group.tables?.[index]?.id}\`)`, markdownTable(lines))
  return parts.join('\n\n')
}
