/** Measures what this client costs. `BENCHMARKS.md` has the last results; `--help` says what this can do. */
import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { type Command, commandFrom, exitCodeOf, USAGE } from './frame/command-line.ts'
import { type GroupResult, generatedPart, type Machine, pageWith } from './frame/page.ts'
import { measureRow, measureTable } from './frame/process.ts'
import { type Group, type Line, type MeasuredRow, passes } from './frame/row.ts'
import { lineOf, plainTable } from './frame/table.ts'
import { GROUPS } from './groups.ts'
import { PLOTS, writePlots } from './plots.ts'

const PAGE = new URL('../BENCHMARKS.md', import.meta.url)

function readCommand(): Command | undefined {
  const args = process.argv.slice(2)
  if (args.includes('--help')) {
    console.log(USAGE)
    return undefined
  }
  try {
    return commandFrom(args, GROUPS)
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`)
    process.exitCode = 2
    return undefined
  }
}

/** Measures and prints the rows and tables of a group that the command names. */
async function measureGroup(group: Group, command: Command): Promise<GroupResult> {
  const rows: MeasuredRow[] = []
  for (const row of group.rows ?? []) if (command.rows.includes(row)) rows.push(await measureRow(row))
  if (rows.length > 0) console.log(`\n${group.title}\n${plainTable(rows.map(lineOf))}`)
  const tables: (readonly Line[])[] = []
  for (const table of group.tables ?? []) {
    if (!command.tables.includes(table)) continue
    const lines = await measureTable(table)
    console.log(`\n${table.title}\n${plainTable(lines)}`)
    tables.push(lines)
  }
  return { group, rows, tables }
}

function thisMachine(): Machine {
  const cpu = cpus()[0]?.model.trim() ?? 'unknown CPU'
  return { cpu, cores: availableParallelism(), node: process.versions.node, date: new Date().toISOString().slice(0, 10) }
}

async function run(command: Command): Promise<void> {
  const results: GroupResult[] = []
  for (const group of GROUPS) results.push(await measureGroup(group, command))
  if (command.plots || command.writes) await writePlots()
  if (command.writes) writeFileSync(PAGE, pageWith(readFileSync(PAGE, 'utf8'), generatedPart(thisMachine(), results, PLOTS)))
  const measured = results.flatMap(({ rows }) => rows)
  const missed = measured.filter((row) => !passes(row))
  if (missed.length > 0) console.log(`\nGoals missed: ${missed.map(({ row }) => row.id).join(', ')}`)
  process.exitCode = exitCodeOf(command, measured)
}

const command = readCommand()
if (command !== undefined) {
  await run(command).catch((error: unknown) => {
    console.error(error)
    process.exitCode = 1
  })
  // The plots leave pools and timers behind.
  process.exit()
}
