/** Measures each row and table in a process of its own. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { Figure, Line, MeasuredRow, Row, Table } from './row.ts'

/** What the process of a row or a table sends. */
export type Report = { figure: Figure } | { lines: readonly Line[] } | { failure: string }

/** Measures a row. */
export async function measureRow(row: Row): Promise<MeasuredRow> {
  const report = await reportOf(row.id, row.kind === 'counted' ? ['--import', COUNT_BLOCKS] : [])
  if ('figure' in report) return { row, figure: report.figure }
  return { row, figure: undefined, failure: 'failure' in report ? report.failure : 'it sent no figure' }
}

/** Measures a table. @throws an error with the reason, if it could not be measured */
export async function measureTable({ id }: Table): Promise<readonly Line[]> {
  const report = await reportOf(id)
  if ('lines' in report) return report.lines
  throw new Error(`${id} was not measured: ${'failure' in report ? report.failure : 'it sent no lines'}`)
}

const COUNT_BLOCKS = new URL('./count-blocks.ts', import.meta.url).href

/** @param flags further flags of Node.js */
async function reportOf(id: string, flags: readonly string[] = []): Promise<Report> {
  const child = fork(new URL('./measure-one.ts', import.meta.url), [id], {
    execArgv: ['--expose-gc', '--disable-warning=ExperimentalWarning', ...flags],
  })
  let report: Report = { failure: 'its process sent nothing' }
  child.on('message', (message) => {
    report = message as Report
  })
  await once(child, 'close')
  return report
}
