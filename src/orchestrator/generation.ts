import type { Generation } from '../model/diagnosis.ts'
import type { WireObject } from './decoding.ts'

/** Finds the generation that made an answer to `GET /engines`. `undefined`: an empty list does not show it. */
export function generationOfEngines(answer: unknown): Generation | undefined {
  // Only v1's internal port wraps its lists.
  if (!Array.isArray(answer)) return 'v1'
  const engine: unknown = answer[0]
  if (typeof engine !== 'object' || engine === null) return undefined
  if ('draining' in engine) return 'v1'
  return isPythonEngine(engine) ? '2026-04' : '2025-10'
}

/** Whether an engine comes from 2026-04: it has fields that v1 and 2025-10 never have. */
export function isPythonEngine(engine: unknown): boolean {
  if (typeof engine !== 'object' || engine === null) return false
  const { draining, monitor_stream_count } = engine as WireObject
  return draining === undefined && typeof monitor_stream_count === 'number'
}

/** Finds the generation that made an answer to `GET /orchestrator/status`. `undefined`: the answer does not show it. */
export function generationOfStatus(answer: unknown): Generation | undefined {
  if (typeof answer !== 'object' || answer === null) return undefined
  const { vpn, proxy, config } = answer as WireObject
  if (typeof vpn !== 'object' || vpn === null || typeof config !== 'object' || config === null) return undefined
  if (!('connected' in vpn)) return 'nodes_total' in vpn ? 'v1' : undefined
  return proxy === undefined ? '2025-10' : '2026-04'
}
