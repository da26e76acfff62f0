import { InvalidArgumentError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Random } from '../runtime/random.ts'
import { expectBoolean, expectDuration, expectOneOf, expectOptions, type NamesOf } from '../runtime/validate.ts'
import { expectEngineInit, type FakeEngineInit } from './engine-entry.ts'
import { GENERATIONS, type Generation } from './generation.ts'

/** The code with which a provision request is refused. */
export type ProvisionRefusal = 'vpn_disconnected' | 'circuit_breaker' | 'vpn_error' | 'general_error'

/** How the fake handles provision requests. */
export interface FakeProvisioning {
  /** Milliseconds until the new engine is listed. Python responds only then, even with a refusal (H12); v1 responds at once. */
  delayMs: number
  /** Refuses all requests with this code. v1 accepts them and starts no engine; only its status says why (H19). */
  refuse: ProvisionRefusal | undefined
  /**
   * `recovery_eta_seconds` of the refusal, in seconds. `circuit_breaker` counts down from it and then lets one request through.
   * @default the generation's own
   */
  etaSeconds: number | null | undefined
  /** Message of the refusal. @default the generation's own */
  message: string | undefined
  /** Refuses with `{"detail":"text"}`, as older releases do. */
  textErrors: boolean
  /** Makes every attempt fail, as if the container runtime did not respond. On v1 five failures open the circuit breaker. */
  runtimeDown: boolean
}

/**
 * A change for {@link FakeOrchestrator.setProvisioning}. `undefined` resets `refuse`, `etaSeconds` and `message`; for other fields it
 * changes nothing.
 */
export type FakeProvisioningChange = { [Name in keyof FakeProvisioning]?: FakeProvisioning[Name] | undefined } & {
  /** See {@link FakeOrchestratorOptions.maxReplicas}. */
  maxReplicas?: number | undefined
}

/** Options of {@link FakeOrchestrator}. */
export interface FakeOrchestratorOptions {
  /** The generation to imitate. @default '2025-10' */
  generation?: Generation | undefined
  /** The number of engines at the beginning, or their properties. @default 3 */
  engines?: number | readonly FakeEngineInit[] | undefined
  /** The bearer token that it requires. Empty: it requires none. @default 'testkey' */
  apiKey?: string | undefined
  /** The clock. Pass the same one to the client. @default a SystemClock */
  clock?: Clock | undefined
  /** Source of random numbers for ids, v1's list order and faults with a probability. @default a seeded one, the same in every run */
  random?: Random | undefined
  /** Number of engines that it keeps running by itself: on v1, and on Python with `autoDelete`. @default as many as `engines` */
  minReplicas?: number | undefined
  /**
   * Maximum number of engines. v1 never starts more. The Python generations only report it in their status, and start one more engine for
   * each request anyway (H11). @default 20 for 2025-10, 10 for 2026-04, 6 for v1
   */
  maxReplicas?: number | undefined
  /**
   * Whether Python removes an engine when its last stream ends, even if that end was misapplied (H1). v1 only reports that it does.
   * @default false
   */
  autoDelete?: boolean | undefined
  /** Milliseconds until a provisioned engine is listed, see {@link FakeProvisioning.delayMs}. @default 0, for v1 1,000 */
  provisionDelayMs?: number | undefined
  /**
   * Milliseconds between a request and its response, for all routes or by route label. Half of it passes before the request is applied.
   * @default 0
   */
  latencyMs?: number | ((route: string) => number) | undefined
}

const OPTION_NAMES: NamesOf<FakeOrchestratorOptions> = {
  generation: true,
  engines: true,
  apiKey: true,
  clock: true,
  random: true,
  minReplicas: true,
  maxReplicas: true,
  autoDelete: true,
  provisionDelayMs: true,
  latencyMs: true,
}

/** The names that {@link FakeOrchestrator.setProvisioning} accepts. */
const PROVISIONING_NAMES: NamesOf<FakeProvisioningChange> = {
  delayMs: true,
  refuse: true,
  etaSeconds: true,
  message: true,
  textErrors: true,
  runtimeDown: true,
  maxReplicas: true,
}

/** The options with defaults filled in. */
export interface Settings {
  readonly generation: Generation
  readonly apiKey: string
  minReplicas: number
  maxReplicas: number
  readonly autoDelete: boolean
  readonly provisioning: FakeProvisioning
}

const MAX_REPLICAS: Readonly<Record<Generation, number>> = { '2025-10': 20, '2026-04': 10, v1: 6 }
const DEFAULT_ENGINES = 3
const REFUSALS: readonly ProvisionRefusal[] = ['vpn_disconnected', 'circuit_breaker', 'vpn_error', 'general_error']

/** Returns the engines at the beginning. */
export function initialEngines(engines: FakeOrchestratorOptions['engines'] = DEFAULT_ENGINES): readonly FakeEngineInit[] {
  if (Array.isArray(engines)) {
    for (const engine of engines) expectEngineInit(engine)
    return engines
  }
  return Array.from({ length: expectWhole('engines', engines, 'a whole number, 0 or more, or a list') }, () => ({}))
}

function expectWhole(name: string, value: unknown, expected = 'a whole number, 0 or more'): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new InvalidArgumentError(name, expected)
  return value as number
}

/** @throws {@link InvalidArgumentError} naming the field of a change that is wrong */
export function expectProvisioningChange(change: FakeProvisioningChange): void {
  expectOptions(change, PROVISIONING_NAMES, { name: 'change' })
  const { delayMs, refuse, etaSeconds, message, textErrors, runtimeDown, maxReplicas } = change
  if (delayMs !== undefined) expectDuration('delayMs', delayMs)
  if (refuse !== undefined) expectOneOf('refuse', refuse, REFUSALS)
  if (etaSeconds !== undefined && etaSeconds !== null && !Number.isFinite(etaSeconds)) {
    throw new InvalidArgumentError('etaSeconds', 'a finite number of seconds, or null')
  }
  if (message !== undefined && typeof message !== 'string') throw new InvalidArgumentError('message', 'text')
  if (textErrors !== undefined) expectBoolean('textErrors', textErrors)
  if (runtimeDown !== undefined) expectBoolean('runtimeDown', runtimeDown)
  if (maxReplicas !== undefined) expectWhole('maxReplicas', maxReplicas)
}

/** Fills in the defaults. */
export function resolveSettings(options: FakeOrchestratorOptions, engineCount: number): Settings {
  expectOptions(options, OPTION_NAMES)
  const { generation = '2025-10', apiKey = 'testkey', minReplicas = engineCount } = options
  if (!GENERATIONS.includes(generation)) throw new InvalidArgumentError('generation', GENERATIONS.join(', '))
  const { maxReplicas = MAX_REPLICAS[generation], autoDelete = false } = options
  const { provisionDelayMs = generation === 'v1' ? 1_000 : 0 } = options
  expectWhole('minReplicas', minReplicas)
  expectWhole('maxReplicas', maxReplicas)
  const provisioning: FakeProvisioning = {
    delayMs: expectDuration('provisionDelayMs', provisionDelayMs),
    refuse: undefined,
    etaSeconds: undefined,
    message: undefined,
    textErrors: false,
    runtimeDown: false,
  }
  return { generation, apiKey, minReplicas, maxReplicas, autoDelete: expectBoolean('autoDelete', autoDelete), provisioning }
}
