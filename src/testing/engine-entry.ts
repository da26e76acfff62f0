import { expectAddress, expectBoolean, expectOneOf, expectOptions, expectText, expectTexts, type NamesOf } from '../runtime/validate.ts'
import type { Generation } from './generation.ts'
import type { Micros } from './stamps.ts'
import type { StreamEntry } from './stream-entry.ts'

/** Health as an orchestrator reports it. */
export type FakeHealth = 'healthy' | 'unhealthy' | 'unknown'

/** Properties of an engine that is added to the fake. Each has a default. */
export interface FakeEngineInit {
  /** @default a random id of 64 hexadecimal digits, as Docker makes them */
  containerId?: string | undefined
  /** @default `acestream-1`, `acestream-2`, …; on v1 `acestream-vm-1`, … */
  containerName?: string | undefined
  /** @default the host of the engine before, `gluetun` for the first: a name that only the orchestrator's network resolves (H17) */
  host?: string | undefined
  /** @default the next free port, from 19000 */
  port?: number | undefined
  /** All labels of the container. @default the labels that the generation gives its engines */
  labels?: Readonly<Record<string, string>> | undefined
  /** @default 'healthy' */
  healthStatus?: FakeHealth | undefined
  /** Whether the VPN forwards a port to the engine. @default false */
  forwarded?: boolean | undefined
  /** @default none */
  vpnContainer?: string | undefined
  /** Whether the engine is being removed (H21). @default false */
  draining?: boolean | undefined
}

/** Properties of an engine that {@link FakeOrchestrator.updateEngine} can change. */
export type FakeEnginePatch = Omit<FakeEngineInit, 'containerId'>

const HEALTHS: readonly FakeHealth[] = ['healthy', 'unhealthy', 'unknown']

/** The names that {@link FakeOrchestrator.addEngine} accepts. */
const ENGINE_INIT_NAMES: NamesOf<FakeEngineInit> = {
  containerId: true,
  containerName: true,
  host: true,
  port: true,
  labels: true,
  healthStatus: true,
  forwarded: true,
  vpnContainer: true,
  draining: true,
}

/** The names that {@link FakeOrchestrator.updateEngine} accepts. */
const ENGINE_PATCH_NAMES: NamesOf<FakeEnginePatch> = omitId(ENGINE_INIT_NAMES)

function omitId({ containerId: _, ...names }: NamesOf<FakeEngineInit>): NamesOf<FakeEnginePatch> {
  return names
}

/** @throws {@link InvalidArgumentError} that names the invalid field of an engine */
export function expectEngineInit(engine: FakeEngineInit): void {
  expectOptions(engine, ENGINE_INIT_NAMES, { name: 'engine' })
  if (engine.containerId !== undefined) expectText('engine.containerId', engine.containerId, 512)
  expectFields('engine', engine)
}

/** @throws {@link InvalidArgumentError} that names the invalid field of a change */
export function expectEnginePatch(patch: FakeEnginePatch): void {
  expectOptions(patch, ENGINE_PATCH_NAMES, { name: 'patch' })
  expectFields('patch', patch)
}

function expectFields(name: string, fields: FakeEnginePatch): void {
  const { containerName, host = 'host', port = 1, labels, healthStatus, forwarded, vpnContainer, draining } = fields
  expectAddress(name, { host, port })
  for (const [key, text] of Object.entries({ containerName, vpnContainer })) if (text !== undefined) expectText(`${name}.${key}`, text, 512)
  for (const [key, flag] of Object.entries({ forwarded, draining })) if (flag !== undefined) expectBoolean(`${name}.${key}`, flag)
  if (labels !== undefined) expectTexts(`${name}.labels`, labels)
  if (healthStatus !== undefined) expectOneOf(`${name}.healthStatus`, healthStatus, HEALTHS)
}

/** A snapshot of an engine that has a container. */
export interface FakeEngine {
  readonly containerId: string
  readonly containerName: string
  readonly host: string
  readonly port: number
  readonly labels: Readonly<Record<string, string>>
  readonly healthStatus: FakeHealth
  readonly forwarded: boolean
  readonly draining: boolean
  readonly vpnContainer?: string
  /** Ids of its live streams, in the order in which they started. */
  readonly streamIds: readonly string[]
  /** The number of streams that the orchestrator reports. On v1 it drifts upward (H18). */
  readonly streamCount: number
}

/** An engine as the fake stores it. */
export interface EngineEntry {
  readonly containerId: string
  containerName: string
  host: string
  port: number
  apiPort: number | null
  labels: Record<string, string>
  healthStatus: FakeHealth
  /** When its first health check makes it `healthy`, milliseconds since the epoch. Until then a new engine is `unknown` (H16). */
  healthyAtMs: number | null
  forwarded: boolean
  vpnContainer: string | null
  draining: boolean
  drainReason: string | null
  firstSeen: Micros
  lastSeen: Micros
  lastHealthCheck: Micros | null
  lastStreamUsage: Micros | null
  /** Whether it has a container. A start can invent engines (H8), and a container can vanish (H10). */
  real: boolean
  /** The address and labels with which its container was started. A restart restores them; starts can overwrite the listed ones (H7). */
  readonly origin: { readonly host: string; readonly port: number; readonly labels: Readonly<Record<string, string>> }
  readonly live: Map<string, StreamEntry>
  /** v1's stream count. A repeated start raises it, and no end lowers it again (H18). */
  driftingCount: number
  /** Slots that v1's `select-engine` has claimed. Only a start releases them (H22). */
  claims: number
  lastAssigned: Micros | null
  /** Whether 2026-04 shows statistics when this engine is requested by id: only once it has had a stream. */
  hasFigures: boolean
}

const IMAGES: Readonly<Record<Generation, string>> = {
  '2025-10': 'acestream/engine:latest',
  '2026-04': 'ghcr.io/krinkuto11/acestream:latest-amd64',
  v1: 'ghcr.io/krinkuto11/acestream:latest-amd64',
}

/** The labels that a generation gives its containers. */
export function containerLabels(generation: Generation, engine: { name: string; port: number; httpsPort: number }): Record<string, string> {
  const port = String(engine.port)
  const apiPort = String(engine.port + 1)
  const base = {
    'ondemand.app': 'myservice',
    'acestream.http_port': port,
    'acestream.https_port': String(engine.httpsPort),
    'host.http_port': port,
  }
  if (generation === '2025-10') return base
  return {
    ...base,
    'acestream.api_port': apiPort,
    'host.api_port': apiPort,
    'acestream.engine_variant': generation === 'v1' ? 'global-x86_64' : 'global-amd64',
    'acestream.config_hash': generation === 'v1' ? 'edc1db8b64772185' : 'dcf96271349d0ee6',
    'acestream.config_generation': '1',
    image: IMAGES[generation],
    ...(generation === 'v1' && { name: engine.name }),
  }
}

/** Returns the present health. The first health check changes `unknown` to `healthy`. */
export function healthAt(engine: EngineEntry, nowMs: number): FakeHealth {
  if (engine.healthyAtMs !== null && nowMs >= engine.healthyAtMs) {
    engine.healthStatus = 'healthy'
    engine.lastHealthCheck = engine.healthyAtMs * 1000
    engine.healthyAtMs = null
  }
  return engine.healthStatus
}
