/** Measures what loading this package costs. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { median } from './frame/measure.ts'
import type { Group, Row } from './frame/row.ts'

const PROCESSES = 21
const PACKAGE = fileURLToPath(new URL('..', import.meta.url))

/** Milliseconds of one `import` in a new process, without the start of the process. */
function importMs(name: string): number {
  const code = `const since = performance.now(); await import('${name}'); console.log(performance.now() - since)`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', code], { cwd: PACKAGE, encoding: 'utf8' })
  return Number(stdout)
}

const importing: Row = {
  id: 'import',
  what: 'import of the main entry, in a new process',
  peer: 'import of lru-cache',
  unit: 'ms',
  goal: 3,
  kind: 'timed',
  miss: {
    upTo: 6,
    because: `About 75 % of the time V8 parses the 250 kB that an import loads, 28 µs for each kB, and 9 % it evaluates them; the rest opens two
files. No dependency is loaded. Short names of classes and functions would save 15 %, but errors and stack traces would show them.`,
  },
  async measure() {
    const costs: number[] = []
    const peers: number[] = []
    for (let run = 0; run < PROCESSES; run += 1) {
      peers.push(importMs('lru-cache'))
      costs.push(importMs('acestream-orchestrator-client'))
    }
    return { cost: median(costs), peer: median(peers) }
  },
}

export const imports: Group = {
  title: 'Import',
  about: `The wall time of \`await import(…)\` in a new process, the median of 21. The processes of both packages take turns, so both meet
the same load of the machine. A proxy pays this once, when it starts.`,
  rows: [importing],
}
