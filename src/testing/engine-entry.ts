import { expectAddress, expectBoolean, expectOneOf, expectOptions, expectText, expectTexts, type NamesOf } from '../runtime/validate.ts'
import type { Generation } from './generation.ts'
import type { Micros } from './stamps.ts'
import type { StreamEntry } from './stream-entry.ts'

/** Health as an orchestrator reports it. */
export type FakeHealth = 'healthy' | 'unhealthy' | 'unknown'

/** What may be said about an engine that is added to the fake; the rest is made up. */
export interface FakeEngineInit {
  containerId?: string | undefined
  containerName?: string | undefined
  host?: string | undefined
  port?: number | undefined
  /** All labels of the container, instead of those that the generation gives its engines. */
  labels?: Readonly<Record<string, string>> | undefined
  /** Default `healthy`. */
  healthStatus?: FakeHealth | undefined
  forwarded?: boolean | undefined
  vpnContainer?: string | undefined
  draining?: boolean | undefined
}

/** What {@link FakeOrchestrator.updateEngine} may change. */
export type FakeEnginePatch = Omit<FakeEngineInit, 'containerId'>

const HEALTHS: readonly FakeHealth[] = ['healthy', 'unhealthy', 'unknown']

/** The names of an engine's fields, for {@link FakeOrchestrator.addEngine}. */
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

/** The names of what {@link FakeOrchestrator.updateEngine} may change. */
const ENGINE_PATCH_NAMES: NamesOf<FakeEnginePatch> = omitId(ENGINE_INIT_NAMES)

function omitId({ containerId: _, ...names }: NamesOf<FakeEngineInit>): NamesOf<FakeEnginePatch> {
  return names
}

/** @throws {@link InvalidArgumentError} naming the field of an engine that is wrong */
export function expectEngineInit(engine: FakeEngineInit): void {
  expectOptions(engine, ENGINE_INIT_NAMES, { name: 'engine' })
  if (engine.containerId !== undefined) expectText('engine.containerId', engine.containerId, 512)
  expectFields('engine', engine)
}

/** @throws {@link InvalidArgumentError} naming the field of a change that is wrong */
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

/** An engine that is really there, as a test sees it. */
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
  /** Live there, in the order they started. */
  readonly streamIds: readonly string[]
  /** As the orchestrator would report it; v1's drifts upward (hazard 18). */
  readonly streamCount: number
}

/** An engine in the fake's books. */
export interface EngineEntry {
  readonly containerId: string
  containerName: string
  host: string
  port: number
  apiPort: number | null
  labels: Record<string, string>
  healthStatus: FakeHealth
  /** When the next health check will find it healthy, milliseconds; an engine just started is `unknown` (hazard 16). */
  healthyAtMs: number | null
  forwarded: boolean
  vpnContainer: string | null
  draining: boolean
  drainReason: string | null
  firstSeen: Micros
  lastSeen: Micros
  lastHealthCheck: Micros | null
  lastStreamUsage: Micros | null
  /** Whether a container stands behind it: a start can invent engines (hazard 8), and a container can vanish (hazard 10). */
  real: boolean
  /** What the container itself was started with: what starts overwrite (hazard 7) comes back with a restart. */
  readonly origin: { readonly host: string; readonly port: number; readonly labels: Readonly<Record<string, string>> }
  readonly live: Map<string, StreamEntry>
  /** v1's count, which a repeated start raises and no end takes back (hazard 18). */
  driftingCount: number
  /** v1's claims of `select-engine`, which only a start gives back (hazard 22). */
  claims: number
  lastAssigned: Micros | null
  /** 2026-04 shows figures of an engine asked for by id only once a stream was there. */
  hasFigures: boolean
}

const IMAGES: Readonly<Record<Generation, string>> = {
  '2025-10': 'acestream/engine:latest',
  '2026-04': 'ghcr.io/krinkuto11/acestream:latest-amd64',
  v1: 'ghcr.io/krinkuto11/acestream:latest-amd64',
}

/** The labels that a generation's own containers carry. */
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

/** Health at this moment: `unknown` turns to `healthy` with the first check. */
export function healthAt(engine: EngineEntry, nowMs: number): FakeHealth {
  if (engine.healthyAtMs !== null && nowMs >= engine.healthyAtMs) {
    engine.healthStatus = 'healthy'
    engine.lastHealthCheck = engine.healthyAtMs * 1000
    engine.healthyAtMs = null
  }
  return engine.healthStatus
}
