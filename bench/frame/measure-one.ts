/** The process that measures one row or table: its argument is the id. */
import { GROUPS } from '../groups.ts'
import type { Report } from './process.ts'

async function report(id: string | undefined): Promise<Report> {
  for (const { rows = [], tables = [] } of GROUPS) {
    const row = rows.find((other) => other.id === id)
    if (row !== undefined) return { figure: await row.measure() }
    const table = tables.find((other) => other.id === id)
    if (table !== undefined) return { lines: await table.measure() }
  }
  return { failure: `no row and no table has the id ${id}` }
}

process.on('disconnect', () => process.exit())
const answer = await report(process.argv[2]).catch(
  (error: unknown): Report => ({ failure: error instanceof Error ? error.message : String(error) }),
)
process.send?.(answer, () => process.exit())
