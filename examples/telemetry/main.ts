import { readFile, writeFile } from 'node:fs/promises'
import process from 'node:process'
import { runDemo } from './demo-run.ts'
import { withOutput } from './page.ts'

const PAGE = new URL('../../docs/telemetry.md', import.meta.url)

/** Prints what the exporters got of the demo. With `--write` it replaces the output in `docs/telemetry.md`. */
const output = await runDemo()
if (process.argv.includes('--write')) await writeFile(PAGE, withOutput(await readFile(PAGE, 'utf8'), output))
else process.stdout.write(`${output.spans}\n\n${output.metrics}\n`)
