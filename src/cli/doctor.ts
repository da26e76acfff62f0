import type { DiagnosedEngine, Diagnosis } from '../model/diagnosis.ts'
import { addressOf, type Cell, counted, printable, type Screen, shortId, type Tone } from './screen.ts'

const MAX_ENGINES = 20
const KEYS: Readonly<Record<Diagnosis['key'], readonly [string, Tone]>> = {
  accepted: ['accepted', 'good'],
  rejected: ['rejected', 'bad'],
  none: ['none is set, none is required', 'good'],
  unknown: ['not checked', 'warning'],
}

/**
 * Shows a diagnosis on one screen.
 *
 * @param store the address of the store, if one was checked
 */
export function showDiagnosis(diagnosis: Diagnosis, store: string | undefined, screen: Screen): string[] {
  const { baseUrl, reachable, latencyMs, generation, key, engines } = diagnosis
  const reached = reachable ? screen.paint(`yes, in ${latencyMs ?? '?'} ms`, 'good') : screen.paint('no', 'bad')
  const lines = [...titled(`Orchestrator ${printable(baseUrl)}`, screen), `  reached     ${reached}`]
  if (reachable) {
    lines.push(`  generation  ${generation ?? 'not known'}`, `  API key     ${screen.paint(...keyOf(diagnosis))}`)
    if (diagnosis.clockSkewMs !== undefined) lines.push(`  clock       ${clockOf(diagnosis.clockSkewMs, latencyMs ?? 0, screen)}`)
    if (engines.length > 0) lines.push('', ...showEngines(engines, screen))
  } else if (key === 'rejected') lines.push(`  API key     ${screen.paint(...KEYS.rejected)}`)
  if (store !== undefined) lines.push('', ...titled(`Store ${printable(store)}`, screen), `  reached     ${storeState(diagnosis, screen)}`)
  return [...lines, '', ...showProblems(diagnosis, screen)]
}

const titled = (title: string, screen: Screen): string[] => screen.wrap(title, '').map((line) => screen.paint(line, 'title'))

function keyOf({ key, problems }: Diagnosis): readonly [string, Tone] {
  return problems.some(({ code }) => code === 'key_missing') ? ['missing', 'bad'] : KEYS[key]
}

/** A date in a header has no fractions of a second. */
const SHOWN_SKEW_MS = 1_500

function clockOf(skewMs: number, latencyMs: number, screen: Screen): string {
  if (Math.abs(skewMs) < SHOWN_SKEW_MS + latencyMs) return 'the same as here, to about a second'
  const text = `${Math.round(Math.abs(skewMs) / 1_000)} s ${skewMs > 0 ? 'ahead' : 'behind'}`
  return screen.paint(text, 'warning')
}

function storeState({ problems }: Diagnosis, screen: Screen): string {
  return problems.some(({ code }) => code.startsWith('store_')) ? screen.paint('no', 'bad') : screen.paint('yes', 'good')
}

function showEngines(engines: readonly DiagnosedEngine[], screen: Screen): string[] {
  const states = ['healthy', 'unhealthy', 'unknown'] as const
  const counts = states.map((state) => [engines.filter(({ healthStatus }) => healthStatus === state).length, state] as const)
  const health = counts.filter(([count]) => count > 0).map(([count, state]) => `${count} ${state}`)
  const reachable = engines.filter((engine) => engine.reachable === true).length
  const title = screen.paint(`${counted(engines.length, 'engine')}: ${health.join(', ')}; ${reachable} reachable from here`, 'title')
  const sorted = [...engines].sort((a, b) => Number(a.reachable ?? true) - Number(b.reachable ?? true))
  const rows = sorted
    .slice(0, MAX_ENGINES)
    .map((engine): Cell[] => [
      shortId(engine.containerId),
      addressOf(engine),
      [engine.healthStatus, engine.healthStatus === 'unhealthy' ? 'bad' : 'good'],
      [`${engine.load}/${engine.limit}`, engine.load >= engine.limit ? 'warning' : 'good'],
      reachabilityOf(engine),
    ])
  const more = engines.length > MAX_ENGINES ? [`  and ${engines.length - MAX_ENGINES} more`] : []
  return [title, ...screen.table(['ENGINE', 'ADDRESS', 'HEALTH', 'LOAD', 'FROM HERE'], rows), ...more]
}

function reachabilityOf({ reachable, error }: DiagnosedEngine): Cell {
  if (reachable === true) return ['reachable', 'good']
  return error === undefined ? 'not checked' : [error, 'bad']
}

function showProblems({ problems }: Diagnosis, screen: Screen): string[] {
  if (problems.length === 0) return [screen.paint('No problem found.', 'good')]
  const lines = [screen.paint(`${counted(problems.length, 'problem')} found`, 'bad')]
  for (const [index, { code, message, remedy }] of problems.entries()) {
    const number = `${index + 1}. `.padStart(4)
    lines.push('', ...screen.wrap(`${printable(message)} [${code}]`, number), ...screen.wrap(printable(remedy), '    -> ', '       '))
  }
  return lines
}
