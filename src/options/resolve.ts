import { InvalidArgumentError } from '../errors.ts'
import type { CandidateComparator, EngineAddress } from '../model/engine.ts'
import { type Cache, MemoryCache } from '../runtime/cache.ts'
import { systemClock } from '../runtime/clock.ts'
import { KyTransport } from '../runtime/ky-transport.ts'
import { harmless, type Logger, silentLogger } from '../runtime/logger.ts'
import { ignoreRejection } from '../runtime/maybe-promise.ts'
import { guardedRandom, type Random, randomId, systemRandom } from '../runtime/random.ts'
import type { RetryPolicy } from '../runtime/retry.ts'
import { SteadyClock } from '../runtime/steady-clock.ts'
import type { Transport } from '../runtime/transport.ts'
import {
  expectAddress,
  expectBoolean,
  expectCount,
  expectDuration,
  expectEntries,
  expectFunction,
  expectHttpUrl,
  expectMethods,
  expectOptions,
  expectPositiveDuration,
  expectText,
  type NamesOf,
  type Resolved,
} from '../runtime/validate.ts'
import { GuardedStore } from '../state/guarded-store.ts'
import { MemoryStore } from '../state/memory.ts'
import { STORE_METHODS, type StateStore } from '../state/store.ts'
import {
  CIRCUIT_BREAKER_OPTION_NAMES,
  type CircuitBreakerOptions,
  CLIENT_OPTION_NAMES,
  DEFAULTS,
  type OrchestratorClientOptions,
  RETRY_OPTION_NAMES,
} from './options.ts'

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
  /** Whether the host passed the store: other clients may use it too. */
  readonly isStoreShared: boolean
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
    isStoreShared: options.store !== undefined,
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

const LONGEST_KEY = 8_192
/** As many characters of a header's name as a message shows. */
const LONGEST_SHOWN = 100
/** What a header can carry: visible ASCII. Anything else would fail in the transport, with the key in its message. */
const HEADER_SAFE = /^[\x21-\x7e]+$/

/** @throws {@link InvalidArgumentError} naming `baseUrl` */
function resolveBaseUrl(value: unknown): URL {
  const url = expectHttpUrl('baseUrl', value)
  // A password with a `/` in it ends the host early: `http://user:1/rest@host` is the host `user`, and the path would be shown.
  if (url.username !== '' || url.password !== '' || url.pathname.includes('@')) {
    throw new InvalidArgumentError('baseUrl', 'no credentials inside; the key goes into apiKey')
  }
  if (url.search !== '' || url.hash !== '') throw new InvalidArgumentError('baseUrl', 'no query and no fragment')
  return url
}

/** @throws {@link InvalidArgumentError} naming `apiKey`, and telling nothing of it */
function resolveApiKey(value: unknown): string | undefined {
  if (value === undefined) return undefined
  const key = expectText('apiKey', value, LONGEST_KEY)
  if (!HEADER_SAFE.test(key)) throw new InvalidArgumentError('apiKey', 'visible ASCII characters only')
  return key
}

/** A name and a value as HTTP allows them; of values, visible ASCII, spaces and tabs. */
const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/
const HEADER_VALUE = /^[\t\x20-\x7e]*$/
/** Headers of the connection, which no client may set. */
const CONNECTION_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/**
 * The headers under lower-case names, so that each is there once.
 *
 * @throws {@link InvalidArgumentError} naming the header, and telling nothing of its value
 */
function resolveHeaders(value: unknown): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {}
  for (const [name, text] of headerPairs(value)) {
    // A whole header line in place of a name (`authorization: Bearer …`) is not quoted further than a name reaches.
    const path = `headers.${/^[\w!#$%&'*+.^`|~-]*/.exec(name)?.[0].slice(0, LONGEST_SHOWN) ?? ''}`
    const key = name.toLowerCase()
    if (!HEADER_NAME.test(name) || key === '__proto__') throw new InvalidArgumentError(path, 'a name that a header can have')
    if (CONNECTION_HEADERS.has(key)) throw new InvalidArgumentError(path, 'a header that does not belong to the connection')
    if (Object.hasOwn(headers, key)) throw new InvalidArgumentError(path, 'each name once, in upper or lower case')
    if (typeof text !== 'string' || text.length > LONGEST_KEY || !HEADER_VALUE.test(text)) {
      throw new InvalidArgumentError(path, `text of at most ${LONGEST_KEY} visible ASCII characters, spaces and tabs`)
    }
    headers[key] = text.trim()
  }
  return Object.freeze(headers)
}

/** The names and values of headers that a host wrote as an object, or as something that iterates over pairs (`Headers`, `Map`). */
function headerPairs(value: unknown): [name: string, text: unknown][] {
  if (value === undefined) return []
  if (typeof value !== 'object' || value === null || !(Symbol.iterator in value)) {
    return expectEntries('headers', value)
  }
  return Array.from(value as Iterable<unknown>, (pair) => {
    if (!Array.isArray(pair) || typeof pair[0] !== 'string') throw new InvalidArgumentError('headers', 'pairs of a name and a text')
    return [pair[0], pair[1]]
  })
}

/** @throws {@link InvalidArgumentError} naming `dialect` */
function resolveDialect(value: unknown): 'auto' | 'unversioned' | 'v1' {
  if (value === 'auto' || value === 'unversioned' || value === 'v1') return value
  throw new InvalidArgumentError('dialect', "'auto', 'unversioned' or 'v1'")
}

/** How persistent the client is where the orchestrator fails, with every default in place. */
interface Persistence {
  readonly retry: RetryPolicy
  /** `undefined`: none. */
  readonly circuitBreaker: Resolved<CircuitBreakerOptions> | undefined
  readonly deliveryTimeoutMs: number
  readonly maxPendingEvents: number
}

/** @throws {@link InvalidArgumentError} naming the option that is wrong */
function resolvePersistence(options: OrchestratorClientOptions): Persistence {
  const { deliveryTimeoutMs = DEFAULTS.deliveryTimeoutMs, maxPendingEvents = DEFAULTS.maxPendingEvents } = options
  return {
    retry: resolveRetry(options.retry),
    circuitBreaker: resolveCircuitBreaker(options.circuitBreaker),
    deliveryTimeoutMs: expectDuration('deliveryTimeoutMs', deliveryTimeoutMs),
    maxPendingEvents: expectCount('maxPendingEvents', maxPendingEvents),
  }
}

function resolveRetry(retry: OrchestratorClientOptions['retry'] = {}): RetryPolicy {
  expectOptions(retry, RETRY_OPTION_NAMES, { name: 'retry', prefix: 'retry.' })
  const { attempts = DEFAULTS.retry.attempts, baseDelayMs = DEFAULTS.retry.baseDelayMs, maxDelayMs = DEFAULTS.retry.maxDelayMs } = retry
  return {
    attempts: expectCount('retry.attempts', attempts),
    baseDelayMs: expectDuration('retry.baseDelayMs', baseDelayMs),
    maxDelayMs: expectDuration('retry.maxDelayMs', maxDelayMs),
  }
}

function resolveCircuitBreaker(breaker: OrchestratorClientOptions['circuitBreaker'] = {}): Persistence['circuitBreaker'] {
  if (breaker === false) return undefined
  expectOptions(breaker, CIRCUIT_BREAKER_OPTION_NAMES, { name: 'circuitBreaker', prefix: 'circuitBreaker.' })
  const { failureThreshold = DEFAULTS.circuitBreaker.failureThreshold, resetAfterMs = DEFAULTS.circuitBreaker.resetAfterMs } = breaker
  return {
    failureThreshold: expectCount('circuitBreaker.failureThreshold', failureThreshold),
    resetAfterMs: expectPositiveDuration('circuitBreaker.resetAfterMs', resetAfterMs),
  }
}

/**
 * A host's own order, whose answers are checked.
 *
 * @throws {@link InvalidArgumentError} naming `rankEngines` where it returns anything but a number; whatever `rankEngines` throws
 */
function checkedComparator(compare: CandidateComparator): CandidateComparator {
  return (a, b) => {
    const order: unknown = compare(a, b)
    if (typeof order === 'number' && !Number.isNaN(order)) return order
    ignoreRejection(order)
    throw new InvalidArgumentError('rankEngines', 'a function that returns a number, not a promise')
  }
}
