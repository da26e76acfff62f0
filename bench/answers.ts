/** Measures what loading this package costs, and reading a long engine list, each against a floor in the same run. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { OrchestratorClient } from 'acestream-orchestrator-client'
import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import { measure } from 'mitata'

const ENGINES = 1_000
const PROCESSES = 15
const NANOSECONDS_PER_MS = 1_000_000
const PACKAGE = fileURLToPath(new URL('..', import.meta.url))

/** Milliseconds of one `import` in a new process. */
function importMs(name: string): number {
  const code = `const since = performance.now(); await import('${name}'); console.log(performance.now() - since)`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', code], { cwd: PACKAGE, encoding: 'utf8' })
  return Number(stdout)
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

/** The costs of loading this package and `lru-cache`. Their processes take turns, so that both meet the same load of the machine. */
export function importing(): { costMs: number; floorMs: number } {
  const costs: number[] = []
  const floors: number[] = []
  for (let run = 0; run < PROCESSES; run += 1) {
    floors.push(importMs('lru-cache'))
    costs.push(importMs('acestream-orchestrator-client'))
  }
  return { costMs: median(costs), floorMs: median(floors) }
}

/** The costs of a refresh of a long list, answered with a text that is ready, and of `JSON.parse` of that text. */
export async function decoding(): Promise<{ costMs: number; floorMs: number }> {
  const fake = new FakeOrchestrator({ engines: ENGINES })
  const url = new URL('http://orchestrator.test/engines')
  const answer = await fake.request({ method: 'GET', url, headers: { authorization: `Bearer ${fake.apiKey}` }, timeoutMs: 3_000 })
  const client = new OrchestratorClient({
    baseUrl: 'http://orchestrator.test',
    transport: { request: async () => answer },
    dialect: 'unversioned',
    cacheTtlMs: 0,
    healthIntervalMs: 0,
    sweepIntervalMs: 0,
    reconcileIntervalMs: 0,
  })
  const { p50: cost } = await measure(async () => {
    await client.listEngines({ fresh: true })
  })
  const { p50: floor } = await measure(() => JSON.parse(answer.body))
  await client.close()
  return { costMs: cost / NANOSECONDS_PER_MS, floorMs: floor / NANOSECONDS_PER_MS }
}
