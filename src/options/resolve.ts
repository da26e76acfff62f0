import { checkedComparator } from '../engines/placement/ranking.ts'
import type { EngineAddress } from '../model/domain.ts'
import { type Cache, MemoryCache } from '../runtime/cache.ts'
import { systemClock } from '../runtime/clock.ts'
import { KyTransport } from '../runtime/ky-transport.ts'
import { harmless, type Logger, silentLogger } from '../runtime/logger.ts'
import { guardedRandom, type Random, randomId, systemRandom } from '../runtime/random.ts'
import { SteadyClock } from '../runtime/steady-clock.ts'
import type { Transport } from '../runtime/transport.ts'
import {
  expectAddress,
  expectBoolean,
  expectCount,
  expectDuration,
  expectFunction,
  expectMethods,
  expectOptions,
  expectPositiveDuration,
  expectText,
  type NamesOf,
} from '../runtime/validate.ts'
import { GuardedStore } from '../state/guarded-store.ts'
import { MemoryStore } from '../state/memory.ts'
import { STORE_METHODS, type StateStore } from '../state/store.ts'
import { CLIENT_OPTION_NAMES, DEFAULTS, type OrchestratorClientOptions } from './options.ts'
import { resolveApiKey, resolveBaseUrl, resolveDialect, resolveHeaders } from './resolve-connection.ts'
import { type Persistence, resolvePersistence } from './resolve-persistence.ts'

/** Options after validation, with every default in place. */
export interface ResolvedOptions extends Persistence {
  readonly baseUrl: URL
  readonly apiKey: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly dialect: 'auto' | 'unversioned' | 'v1'
  readonly proxyId: string
  readonly maxStreamsPerEngine: number
  readonly cacheTtlMs: number
  readonly watch: boolean
  readonly staleIfErrorMs: number
  readonly refreshWaitMs: number
  readonly startWaitMs: number
  readonly requestTimeoutMs: number
  readonly provisionTimeoutMs: number
  readonly maxConcurrentProvisions: number
  readonly maxConcurrentRequests: number
  readonly leaseTtlMs: number
  readonly settleMs: number
  readonly endedRetentionMs: number
  readonly endedRetentionMax: number
  readonly healthIntervalMs: number
  readonly sweepIntervalMs: number
  readonly reconcileIntervalMs: number
  readonly fallbackEngine: EngineAddress | undefined
  readonly mapEngine: OrchestratorClientOptions['mapEngine']
  readonly rankEngines: OrchestratorClientOptions['rankEngines']
  readonly transport: Transport
  readonly clock: SteadyClock
  readonly cache: Cache
  readonly store: StateStore
  readonly logger: Logger
  readonly random: Random
}

/**
 * Checks every option and fills in the defaults.
 *
 * @throws {@link InvalidArgumentError} naming the option that is wrong
 */
export function resolveOptions(options: OrchestratorClientOptions): ResolvedOptions {
  expectOptions(options, CLIENT_OPTION_NAMES)
  const duration = (
    name:
      | 'cacheTtlMs'
      | 'staleIfErrorMs'
      | 'refreshWaitMs'
      | 'startWaitMs'
      | 'settleMs'
      | 'endedRetentionMs'
      | 'healthIntervalMs'
      | 'sweepIntervalMs'
      | 'reconcileIntervalMs',
  ) => expectDuration(name, given(options[name], DEFAULTS[name]))
  const positive = (name: 'requestTimeoutMs' | 'provisionTimeoutMs' | 'leaseTtlMs') =>
    expectPositiveDuration(name, given(options[name], DEFAULTS[name]))
  const count = (name: 'maxStreamsPerEngine' | 'maxConcurrentProvisions' | 'maxConcurrentRequests' | 'endedRetentionMax') =>
    expectCount(name, given(options[name], DEFAULTS[name]))

  const givenLogger = given(options.logger, silentLogger)
  expectMethods('logger', givenLogger, ['debug', 'info', 'warn', 'error'])
  const logger = harmless(givenLogger)
  const hostClock = given(options.clock, systemClock)
  expectMethods('clock', hostClock, ['now', 'setTimeout'])
  if (hostClock.monotonic !== undefined) expectFunction('clock.monotonic', hostClock.monotonic)
  const clock = SteadyClock.of(hostClock, logger)
  const transport = given(options.transport, new KyTransport({ clock }))
  expectMethods('transport', transport, ['request'])
  const cache = given(options.cache, new MemoryCache(clock))
  expectMethods('cache', cache, ['get', 'set', 'delete'])
  const store = given(options.store, new MemoryStore())
  expectMethods('store', store, STORE_METHODS)
  if (store.attach !== undefined) expectFunction('store.attach', store.attach)
  for (const name of ['mapEngine', 'rankEngines', 'random'] as const) {
    if (options[name] !== undefined) expectFunction(name, options[name])
  }

  return {
    ...resolvePersistence(options),
    baseUrl: resolveBaseUrl(options.baseUrl),
    apiKey: resolveApiKey(options.apiKey),
    headers: resolveHeaders(options.headers),
    dialect: resolveDialect(given(options.dialect, DEFAULTS.dialect)),
    proxyId: expectText('proxyId', given(options.proxyId, randomId()), 255),
    maxStreamsPerEngine: count('maxStreamsPerEngine'),
    cacheTtlMs: duration('cacheTtlMs'),
    watch: expectBoolean('watch', given(options.watch, DEFAULTS.watch)),
    staleIfErrorMs: duration('staleIfErrorMs'),
    refreshWaitMs: duration('refreshWaitMs'),
    startWaitMs: duration('startWaitMs'),
    requestTimeoutMs: positive('requestTimeoutMs'),
    provisionTimeoutMs: positive('provisionTimeoutMs'),
    maxConcurrentProvisions: count('maxConcurrentProvisions'),
    maxConcurrentRequests: count('maxConcurrentRequests'),
    leaseTtlMs: positive('leaseTtlMs'),
    settleMs: duration('settleMs'),
    endedRetentionMs: duration('endedRetentionMs'),
    endedRetentionMax: count('endedRetentionMax'),
    healthIntervalMs: duration('healthIntervalMs'),
    sweepIntervalMs: duration('sweepIntervalMs'),
    reconcileIntervalMs: duration('reconcileIntervalMs'),
    fallbackEngine: resolveFallback(options.fallbackEngine),
    mapEngine: options.mapEngine,
    rankEngines: options.rankEngines && checkedComparator(options.rankEngines),
    transport,
    clock,
    cache,
    store: options.store === undefined ? store : new GuardedStore(store),
    logger,
    random: options.random === undefined ? systemRandom : guardedRandom(options.random, logger),
  }
}

function resolveFallback(engine: EngineAddress | undefined): EngineAddress | undefined {
  if (engine === undefined) return undefined
  expectOptions(engine, { host: true, port: true } satisfies NamesOf<EngineAddress>, {
    name: 'fallbackEngine',
    prefix: 'fallbackEngine.',
  })
  return expectAddress('fallbackEngine', engine)
}

/** A default stands for what was not given. `null` was given, and is wrong: `??` would hide a host's mistake. */
function given<T>(value: T | undefined, standard: T): T {
  return value === undefined ? standard : value
}
