import pLimit from 'p-limit'
import { hostInUrl, mapEngine } from '../engines/list/addresses.ts'
import { OrchestratorError } from '../errors.ts'
import type { DiagnosedEngine, Problem } from '../model/diagnosis.ts'
import type { Engine, EngineAddress } from '../model/engine.ts'
import { kindOfConnectionError, type ObstacleKind } from '../orchestrator/obstacles.ts'
import { runWithDeadline } from '../runtime/abort.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Connect } from '../runtime/connect.ts'
import { readText } from '../runtime/error-fields.ts'
import { problem } from './obstacle-problems.ts'

/** Dependencies and options of {@link checkEngines}. */
export interface EngineCheckParts {
  /** `undefined`: no connection is tried. */
  readonly connect: Connect | undefined
  readonly clock: Clock
  readonly mapEngine: ((engine: Engine) => EngineAddress) | undefined
  /** The limit of each connection, milliseconds. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** The slots that are taken on each engine, by its id. */
  readonly loads: ReadonlyMap<string, number>
  readonly limit: number
}

/** The engines of a list, with what is wrong with their addresses. */
export interface CheckedEngines {
  readonly engines: readonly DiagnosedEngine[]
  readonly problems: readonly Problem[]
}

/** Connections at once: enough for a fleet, few enough for a small router. */
const MAX_CONNECTIONS = 32
/** After this time no further connection begins: a fleet that cannot be reached would take minutes. */
const MAX_CHECK_MS = 10_000

/** An engine, and the kind of failure that its connection had. */
interface Checked {
  readonly engine: DiagnosedEngine
  readonly kind?: ObstacleKind | 'unmapped'
}

/** Opens a TCP connection to the mapped address of each engine, and closes it at once. */
export async function checkEngines(engines: readonly Engine[], parts: EngineCheckParts): Promise<CheckedEngines> {
  const limit = pLimit(MAX_CONNECTIONS)
  const stopAt = parts.clock.now() + MAX_CHECK_MS
  const checked = await Promise.all(engines.map((engine) => limit(() => check(engine, parts, stopAt))))
  return { engines: checked.map(({ engine }) => Object.freeze(engine)), problems: problemsOf(checked, parts) }
}

async function check(listed: Engine, parts: EngineCheckParts, stopAt: number): Promise<Checked> {
  const { connect, clock, timeoutMs, signal, loads, limit } = parts
  const { containerId, healthStatus } = listed
  const at = ({ host, port }: EngineAddress) => ({ containerId, host, port, healthStatus, load: loads.get(containerId) ?? 0, limit })
  let address: EngineAddress
  try {
    address = mapEngine(listed, parts.mapEngine)
  } catch (error) {
    const text = `mapEngine failed: ${messageOf(error)}`
    return { engine: { ...at(listed), error: text }, kind: 'unmapped' }
  }
  const engine = at(address)
  if (connect === undefined || clock.now() >= stopAt) return { engine }
  const target = { host: address.host.replace(/^\[|\]$/g, ''), port: address.port }
  try {
    await runWithDeadline({ clock, timeoutMs, signal, label: 'connect' }, async (ended) => connect(target, { signal: ended }))
    return { engine: { ...engine, reachable: true } }
  } catch (error) {
    signal.throwIfAborted()
    const kind = error instanceof OrchestratorError ? 'timed-out' : kindOfConnectionError(error)
    return { engine: { ...engine, reachable: false, error: textOf(kind, error, timeoutMs) }, kind }
  }
}

function textOf(kind: ObstacleKind, error: unknown, timeoutMs: number): string {
  if (kind === 'host-not-found') return 'host name not found'
  if (kind === 'refused') return 'connection refused'
  if (kind === 'timed-out') return `no connection within ${timeoutMs} ms`
  if (kind === 'no-route') return 'no route to the host'
  return readText(error, 'code') || messageOf(error)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Addresses of Docker's own networks, and names that only Docker resolves. */
const OF_DOCKER = /^(?:172\.(?:1[6-9]|2\d|3[01])\.|[^.:]+$)/

const MAP_ENGINE =
  'run this proxy in the Docker network of the engines, or publish their ports and set mapEngine (ACEXY_ENGINE_HOST) to the host at which they are reached from here'

function problemsOf(checked: readonly Checked[], { mapEngine: map }: EngineCheckParts): Problem[] {
  const problems: Problem[] = []
  const add = (kinds: readonly Checked['kind'][], describe: (found: readonly Checked[], subject: string) => Problem): void => {
    const found = checked.filter(({ kind }) => kind !== undefined && kinds.includes(kind))
    if (found.length > 0) problems.push(describe(found, subjectOf(found, checked.length)))
  }
  add(['unmapped'], ([first], subject) => {
    return problem(
      'map_engine_failed',
      `mapEngine returned no address for ${subject}: ${first?.engine.error}.`,
      'Correct the function: it must return { host, port } for every engine.',
    )
  })
  add(['host-not-found'], (found, subject) => {
    const hosts = namesOf(found)
    const remedy =
      map === undefined
        ? `The orchestrator lists its engines under names of its own Docker network: ${MAP_ENGINE}.`
        : 'mapEngine returned this name: correct the function, or the DNS server of this machine.'
    return problem('engine_host_not_found', `The host name ${hosts} of ${subject} cannot be resolved here.`, remedy)
  })
  add(['refused'], (found, subject) => {
    const isLoopback = map === undefined && found.some(({ engine }) => /^(?:127\.|localhost$|\[?::1)/.test(engine.host))
    const remedy = isLoopback
      ? `The orchestrator lists its engines at its own loopback address, which may be another machine than this one: ${MAP_ENGINE}.`
      : 'An engine that still starts, or has stopped, refuses connections: try again after 30 s, and look at its container. If all refuse, their ports are not published where this proxy looks for them.'
    return problem('engine_refused', `Nothing listens at the address of ${subject} (${addressesOf(found)}).`, remedy)
  })
  add(['timed-out', 'no-route', 'broken', 'tls', 'not-http'], (found, subject) => {
    const isDocker = map === undefined && found.some(({ engine }) => OF_DOCKER.test(engine.host))
    const remedy = isDocker
      ? `Addresses like ${found[0]?.engine.host} exist only inside a Docker network: ${MAP_ENGINE}.`
      : 'Check the firewalls between this proxy and the engines, and the VPN container in whose network they run: it must publish the port of each engine.'
    return problem('engine_unreachable', `No connection to ${subject} (${addressesOf(found)}): ${found[0]?.engine.error}.`, remedy)
  })
  return problems
}

function subjectOf(found: readonly Checked[], total: number): string {
  if (found.length < total) return `${found.length} of ${total} engines`
  return total === 1 ? 'the only engine' : `all ${total} engines`
}

const MAX_NAMED = 3

function namesOf(found: readonly Checked[]): string {
  return shorten([...new Set(found.map(({ engine }) => `"${engine.host}"`))])
}

function addressesOf(found: readonly Checked[]): string {
  return shorten(found.map(({ engine: { host, port } }) => `${hostInUrl(host)}:${port}`))
}

function shorten(names: readonly string[]): string {
  const shown = names.slice(0, MAX_NAMED).join(', ')
  return names.length > MAX_NAMED ? `${shown} and ${names.length - MAX_NAMED} more` : shown
}
