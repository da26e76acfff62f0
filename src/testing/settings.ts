import { InvalidArgumentError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Random } from '../runtime/random.ts'
import { expectBoolean, expectDuration, expectOneOf, expectOptions, type NamesOf } from '../runtime/validate.ts'
import { expectEngineInit, type FakeEngineInit } from './engine-entry.ts'
import { GENERATIONS, type Generation } from './generation.ts'

/** Why a provision request is refused. */
export type ProvisionRefusal = 'vpn_disconnected' | 'circuit_breaker' | 'vpn_error' | 'general_error'

/** How provisioning goes. */
export interface FakeProvisioning {
  /** Milliseconds until the new engine is there. Python answers only then, refusals too (hazard 12); v1 answers at once. */
  delayMs: number
  /** Refuse, with this code. v1 refuses nothing (hazard 19): there no engine comes, and the status says why. */
  refuse: ProvisionRefusal | undefined
  /** Seconds that the refusal promises instead of the usual; `circuit_breaker` counts down from it and then lets a try through. */
  etaSeconds: number | null | undefined
  /** Message of the refusal instead of the usual. */
  message: string | undefined
  /** Refuse as older releases did: `{"detail":"text"}`. */
  textErrors: boolean
  /** The container runtime does not answer: every attempt fails. On v1 five of them open the circuit breaker. */
  runtimeDown: boolean
}

/** A change of provisioning, see {@link FakeOrchestrator.setProvisioning}. `undefined` ends a refusal, its time and its message; anything else stays. */
export type FakeProvisioningChange = { [Name in keyof FakeProvisioning]?: FakeProvisioning[Name] | undefined } & {
  /** See {@link FakeOrchestratorOptions.maxReplicas}. */
  maxReplicas?: number | undefined
}

/** What a fake orchestrator may be told when it is made. */
export interface FakeOrchestratorOptions {
  /** @default '2025-10' */
  generation?: Generation | undefined
  /** How many engines, or which. @default 3 */
  engines?: number | readonly FakeEngineInit[] | undefined
  /** The bearer token it asks for; empty: none. @default 'testkey' */
  apiKey?: string | undefined
  /** Give it the client's. @default a SystemClock */
  clock?: Clock | undefined
  /** For ids, v1's list order and faults with a probability. @default a seeded one, the same in every run */
  random?: Random | undefined
  /** Engines it keeps up by itself where its generation does (v1; Python with `autoDelete`). @default as many as `engines` */
  minReplicas?: number | undefined
  /**
   * Most engines at once, as v1 keeps to. The Python generations only report it in their status: a request for an engine starts one more all the
   * same, as the originals do (H11). @default 20, 10, 6 by generation
   */
  maxReplicas?: number | undefined
  /** Python destroys an engine with its last stream, an innocent's too (hazard 1); v1 says it does and does not. @default false */
  autoDelete?: boolean | undefined
  /** Short for `setProvisioning({ delayMs })`. @default 0, v1 1 000 */
  provisionDelayMs?: number | undefined
  /** Milliseconds between a request and its answer, in all or by route label; half of it before the request is applied. @default 0 */
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

/** What {@link FakeOrchestrator.setProvisioning} may be given. */
const PROVISIONING_NAMES: NamesOf<FakeProvisioningChange> = {
  delayMs: true,
  refuse: true,
  etaSeconds: true,
  message: true,
  textErrors: true,
  runtimeDown: true,
  maxReplicas: true,
}

/** Options with their defaults. */
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

/** The engines a fake begins with. */
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
