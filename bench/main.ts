/** Measures what this client costs. See `BENCHMARKS.md` for the last results, and `--help` for what it can do. */
import { type Command, commandFrom, USAGE } from './frame/command-line.ts'
import { measureRow, measureTable } from './frame/process.ts'
import { type Group, isMet, type MeasuredRow } from './frame/row.ts'
import { lineOf, plainTable } from './frame/table.ts'
import { GROUPS } from './groups.ts'

function readCommand(): Command | undefined {
  const args = process.argv.slice(2)
  if (args.includes('--help')) {
    console.log(USAGE)
    return undefined
  }
  try {
    return commandFrom(args, GROUPS)
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`)
    process.exitCode = 2
    return undefined
  }
}

async function runGroup(group: Group, { rows, tables }: Command): Promise<MeasuredRow[]> {
  const measured: MeasuredRow[] = []
  for (const row of group.rows ?? []) if (rows.includes(row)) measured.push(await measureRow(row))
  if (measured.length > 0) console.log(`\n${group.title}\n${plainTable(measured.map(lineOf))}`)
  for (const table of group.tables ?? []) {
    if (tables.includes(table)) console.log(`\n${table.title}\n${plainTable(await measureTable(table))}`)
  }
  return measured
}

const command = readCommand()
if (command !== undefined) {
  const measured: MeasuredRow[] = []
  for (const group of GROUPS) measured.push(...(await runGroup(group, command)))
  const missed = measured.filter((row) => !isMet(row))
  if (missed.length > 0) console.log(`\nGoals missed: ${missed.map(({ row }) => row.id).join(', ')}`)
  if (command.checks && missed.length > 0) process.exitCode = 1
}
