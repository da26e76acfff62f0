import { InvalidArgumentError } from '../errors.ts'
import type { CandidateComparator, EngineAddress } from '../model/engine.ts'
import type { FailOptions } from '../model/lease.ts'
import type { StreamFilter } from '../model/stream.ts'
import { MemoryCache } from '../runtime/cache.ts'
import { systemClock } from '../runtime/clock.ts'
import { KyTransport } from '../runtime/ky-transport.ts'
import { guardLogger, silentLogger } from '../runtime/logger.ts'
import { ignoreRejection } from '../runtime/maybe-promise.ts'
import { guardRandom, makeRandomId, systemRandom } from '../runtime/random.ts'
import type { RetryPolicy } from '../runtime/retry.ts'
import { SteadyClock } from '../runtime/steady-clock.ts'
import {
  expectAddress,
  expectBoolean,
  expectCount,
  expectDuration,
  expectEntries,
  expectFunction,
  expectHttpUrl,
  expectIds,
  expectMethods,
  expectOneOf,
  expectOptions,
  expectPositiveDuration,
  expectSignal,
  expectText,
  expectTexts,
  type OptionsContext,
  type Resolved,
} from '../runtime/validate.ts'
import { GuardedStore } from '../state/guarded-store.ts'
import { MemoryStore } from '../state/memory.ts'
import { STORE_METHODS, type StateStore } from '../state/store.ts'
import type { AcquireOptions, CloseOptions, ListEnginesOptions, ProvisionEngineOptions, RequestOptions } from './call-options.ts'
import type { CircuitBreakerOptions, OrchestratorClientOptions, RetryOptions } from './options.ts'
import { expectContent, MAX_KEY_LENGTH } from './stream-start.ts'

/** All defaults of options, of the client and of its calls. Ports have their defaults in {@link resolveOptions}. */
export const DEFAULTS = {
  dialect: 'auto',
  maxStreamsPerEngine: 1,
  cacheTtlMs: 2_000,
  watch: true,
  staleIfErrorMs: 30_000,
  refreshWaitMs: 300,
  startWaitMs: 1_000,
  requestTimeoutMs: 3_000,
  provisionTimeoutMs: 60_000,
  maxConcurrentProvisions: 3,
  maxConcurrentRequests: 16,
  leaseTtlMs: 60_000,
  settleMs: 0,
  endedRetentionMs: 3_600_000,
  endedRetentionMax: 100_000,
  healthIntervalMs: 30_000,
  sweepIntervalMs: 300_000,
  reconcileIntervalMs: 30_000,
  retry: { attempts: 5, baseDelayMs: 200, maxDelayMs: 10_000 },
  deliveryTimeoutMs: 3_600_000,
  maxPendingEvents: 100_000,
  circuitBreaker: { failureThreshold: 5, resetAfterMs: 10_000 },
  // Options of calls:
  waitMs: 30_000,
  provision: true,
  fresh: false,
  timeoutMs: 10_000,
  engineAttempts: 2,
  openTimeoutMs: 20_000,
  playbackCloseTimeoutMs: 5_000,
  lingerMs: 5_000,
} as const

/** Options of the client after their checks, with all defaults. */
export interface ResolvedOptions extends Omit<Resolved<OrchestratorClientOptions>, 'baseUrl' | 'clock' | 'circuitBreaker' | Optional> {
  readonly baseUrl: URL
  /** Under lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  readonly retry: RetryPolicy
  readonly clock: SteadyClock
  /** Whether the host passed the store: other clients may use it too. */
  readonly isStoreShared: boolean
  /** `undefined`: no circuit breaker. */
  readonly circuitBreaker: Resolved<CircuitBreakerOptions> | undefined
  readonly apiKey: string | undefined
  readonly fallbackEngine: EngineAddress | undefined
  readonly mapEngine: OrchestratorClientOptions['mapEngine']
  readonly rankEngines: OrchestratorClientOptions['rankEngines']
}
type Optional = 'apiKey' | 'headers' | 'retry' | 'fallbackEngine' | 'mapEngine' | 'rankEngines'

/** Options whose default is made by {@link resolveOptions}: `undefined` until then. */
type Made = 'proxyId' | 'transport' | 'clock' | 'cache' | 'store' | 'logger' | 'random'
type CheckedOptions = Omit<ResolvedOptions, Made | 'isStoreShared'> & { readonly [Name in Made]: OrchestratorClientOptions[Name] }

/** Returns the value of an option, or throws an {@link InvalidArgumentError} with its name. */
type Check<Value> = (name: string, value: unknown) => Value
/** The check of each option of a table. The names of the table are the names of all options. */
export type CheckTable<Values> = { readonly [Name in keyof Values]: Check<Values[Name]> }

/** Options of the client and their checks. */
export const CLIENT_OPTIONS: CheckTable<CheckedOptions> = {
  baseUrl: expectBaseUrl,
  apiKey: allowUndefined(expectApiKey),
  headers: expectHeaders,
  dialect: (name, value) => expectOneOf(name, value, ['auto', 'unversioned', 'v1']),
  proxyId: allowUndefined((name, value) => expectText(name, value, 255)),
  maxStreamsPerEngine: expectCount,
  cacheTtlMs: expectDuration,
  watch: expectBoolean,
  staleIfErrorMs: expectDuration,
  refreshWaitMs: expectDuration,
  startWaitMs: expectDuration,
  requestTimeoutMs: expectPositiveDuration,
  provisionTimeoutMs: expectPositiveDuration,
  maxConcurrentProvisions: expectCount,
  maxConcurrentRequests: expectCount,
  leaseTtlMs: expectPositiveDuration,
  settleMs: expectDuration,
  endedRetentionMs: expectDuration,
  endedRetentionMax: expectCount,
  healthIntervalMs: expectDuration,
  sweepIntervalMs: expectDuration,
  reconcileIntervalMs: expectDuration,
  retry: (name, value) => checkOptions(RETRY_OPTIONS, value, DEFAULTS.retry, { name, prefix: `${name}.` }),
  deliveryTimeoutMs: expectDuration,
  maxPendingEvents: expectCount,
  circuitBreaker: (name, value) =>
    value === false ? undefined : checkOptions(CIRCUIT_BREAKER_OPTIONS, value, DEFAULTS.circuitBreaker, { name, prefix: `${name}.` }),
  fallbackEngine: allowUndefined(expectFallbackEngine),
  mapEngine: allowUndefined(expectFunction<NonNullable<OrchestratorClientOptions['mapEngine']>>),
  rankEngines: allowUndefined((name, value) => guardComparator(expectFunction(name, value))),
  transport: allowUndefined((name, value) => expectMethods(name, value, ['request'])),
  clock: allowUndefined(expectClock),
  cache: allowUndefined((name, value) => expectMethods(name, value, ['get', 'set', 'delete'])),
  store: allowUndefined(expectStore),
  logger: allowUndefined((name, value) => expectMethods(name, value, ['debug', 'info', 'warn', 'error'])),
  random: allowUndefined(expectFunction<NonNullable<OrchestratorClientOptions['random']>>),
}

/** The options inside `retry` and their checks. */
export const RETRY_OPTIONS: CheckTable<Resolved<RetryOptions>> = {
  attempts: expectCount,
  baseDelayMs: expectDuration,
  maxDelayMs: expectDuration,
}

/** The options inside `circuitBreaker` and their checks. */
export const CIRCUIT_BREAKER_OPTIONS: CheckTable<Resolved<CircuitBreakerOptions>> = {
  failureThreshold: expectCount,
  resetAfterMs: expectPositiveDuration,
}

/**
 * Checks all options of the client and adds the defaults.
 *
 * @throws {@link InvalidArgumentError} with the name of an option that is unknown or wrong
 */
export function resolveOptions(options: OrchestratorClientOptions): ResolvedOptions {
  const checked = checkOptions(CLIENT_OPTIONS, options)
  const logger = guardLogger(checked.logger ?? silentLogger)
  const clock = SteadyClock.of(checked.clock ?? systemClock, logger)
  return {
    ...checked,
    proxyId: checked.proxyId ?? makeRandomId(),
    logger,
    clock,
    transport: checked.transport ?? new KyTransport({ clock }),
    cache: checked.cache ?? new MemoryCache(clock),
    store: checked.store === undefined ? new MemoryStore() : new GuardedStore(checked.store),
    isStoreShared: checked.store !== undefined,
    random: checked.random === undefined ? systemRandom : guardRandom(checked.random, logger),
  }
}

/** The only option of most calls. */
interface RequestValues {
  readonly signal: AbortSignal | undefined
}
/** The values of a call's options that are always there, and its signal. */
export type CallValues<Options, Undefinable extends keyof Options = never> = RequestValues &
  Resolved<Omit<Options, 'signal' | Undefinable>> & { readonly [Name in Undefinable]: Options[Name] }

const NO_IDS: ReadonlySet<string> = new Set()

/** Options of each call and their checks. */
export const REQUEST_OPTIONS: CheckTable<RequestValues> = { signal: expectSignal }
export const ACQUIRE_OPTIONS: CheckTable<
  CallValues<Omit<AcquireOptions, 'exclude'>, 'content'> & { readonly exclude: ReadonlySet<string> }
> = {
  signal: expectSignal,
  waitMs: expectDuration,
  provision: expectBoolean,
  exclude: (name, value) => (value === undefined ? NO_IDS : expectIds(name, value)),
  content: allowUndefined(expectContent),
}
export const LIST_ENGINES_OPTIONS: CheckTable<CallValues<ListEnginesOptions>> = { signal: expectSignal, fresh: expectBoolean }
export const STREAM_FILTER: CheckTable<StreamFilter> = {
  containerId: allowUndefined((name, value) => expectText(name, value, 512)),
  status: allowUndefined((name, value) => expectOneOf(name, value, ['started', 'ended'])),
}
export const PROVISION_OPTIONS: CheckTable<CallValues<ProvisionEngineOptions, 'labels' | 'env'>> = {
  signal: expectSignal,
  labels: allowUndefined(expectTexts),
  env: allowUndefined(expectTexts),
}
export const CLOSE_OPTIONS: CheckTable<Resolved<CloseOptions>> = { timeoutMs: expectDuration }
export const FAIL_OPTIONS: CheckTable<FailOptions> = { key: allowUndefined((name, value) => expectText(name, value, MAX_KEY_LENGTH)) }

/**
 * Checks each option of a table. An option that is `undefined` gets its default. `null` does not: it is a mistake of the host.
 *
 * @throws {@link InvalidArgumentError} with the name of an option that is unknown or wrong
 */
export function checkOptions<Values>(
  checks: CheckTable<Values>,
  options: unknown,
  defaults: Readonly<Record<string, unknown>> = DEFAULTS,
  context: OptionsContext = {},
): Values {
  const given = expectOptions(options, checks, context)
  const values: Record<string, unknown> = {}
  for (const name in checks) {
    const value = given[name] === undefined ? defaults[name] : given[name]
    const path = context.prefix === undefined ? name : `${context.prefix}${name}`
    values[name] = checks[name](path, value)
  }
  return values as Values
}

/** Checks the options of a call that has only a signal. */
export function checkSignal(options: RequestOptions | undefined): AbortSignal | undefined {
  return options === undefined ? undefined : checkOptions(REQUEST_OPTIONS, options).signal
}

/**
 * Checks the first argument of `listStreams`.
 *
 * @throws {@link InvalidArgumentError} with the name of a field that is unknown or wrong
 */
export function checkFilter(filter: StreamFilter): StreamFilter {
  return checkOptions(STREAM_FILTER, filter, {}, { name: 'filter', prefix: 'filter.', signalGoes: 'as the second argument' })
}

/** Extends a check so that the option may be `undefined`. */
export function allowUndefined<Value>(check: Check<Value>): Check<Value | undefined> {
  return (name, value) => (value === undefined ? undefined : check(name, value))
}

const MAX_COMPARED_KEY = 8_192
/** Length to which an error cuts a header's name. */
const MAX_SHOWN_LENGTH = 100
/** Visible ASCII. A header can carry nothing else: it would fail in the transport, and the error would show the key. */
const HEADER_SAFE = /^[\x21-\x7e]+$/

function expectBaseUrl(name: string, value: unknown): URL {
  const url = expectHttpUrl(name, value)
  // A `/` in a password is parsed as the end of the host: `http://user:1/rest@host` has the host `user`, and its path contains the password.
  if (url.username !== '' || url.password !== '' || url.pathname.includes('@')) {
    throw new InvalidArgumentError(name, 'a URL without credentials; pass the key as apiKey')
  }
  if (url.search !== '' || url.hash !== '') throw new InvalidArgumentError(name, 'a URL without query and fragment; remove them')
  return url
}

function expectApiKey(name: string, value: unknown): string {
  const key = expectText(name, value, MAX_COMPARED_KEY)
  if (!HEADER_SAFE.test(key)) throw new InvalidArgumentError(name, 'visible ASCII characters only; remove spaces and line breaks')
  return key
}

/** Patterns of HTTP for a header's name, and for its value: visible ASCII, spaces and tabs. */
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

/** Headers under lower-case names. No error shows a value. */
function expectHeaders(name: string, value: unknown): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {}
  for (const [header, text] of listHeaderPairs(name, value)) {
    // If a whole line was passed as a name (`authorization: Bearer …`), the error shows it only up to the colon.
    const path = `${name}.${/^[\w!#$%&'*+.^`|~-]*/.exec(header)?.[0].slice(0, MAX_SHOWN_LENGTH) ?? ''}`
    const key = header.toLowerCase()
    if (!HEADER_NAME.test(header) || key === '__proto__') throw new InvalidArgumentError(path, 'a valid header name')
    if (CONNECTION_HEADERS.has(key)) throw new InvalidArgumentError(path, 'a header that does not belong to the connection; remove it')
    if (Object.hasOwn(headers, key)) throw new InvalidArgumentError(path, 'each name once; upper and lower case are the same')
    if (typeof text !== 'string' || text.length > MAX_COMPARED_KEY || !HEADER_VALUE.test(text)) {
      throw new InvalidArgumentError(path, `text of at most ${MAX_COMPARED_KEY} visible ASCII characters, spaces and tabs`)
    }
    headers[key] = text.trim()
  }
  return Object.freeze(headers)
}

/** Names and values of headers in an object, or in an iterable of pairs (`Headers`, `Map`). */
function listHeaderPairs(name: string, value: unknown): [name: string, text: unknown][] {
  if (value === undefined) return []
  if (typeof value !== 'object' || value === null || !(Symbol.iterator in value)) return expectEntries(name, value)
  return Array.from(value as Iterable<unknown>, (pair) => {
    if (!Array.isArray(pair) || typeof pair[0] !== 'string') throw new InvalidArgumentError(name, 'pairs of a name and a text')
    return [pair[0], pair[1]]
  })
}

function expectFallbackEngine(name: string, value: unknown): EngineAddress {
  const known: Record<keyof EngineAddress, true> = { host: true, port: true }
  return expectAddress(name, expectOptions(value, known, { name, prefix: `${name}.` }))
}

function expectClock(name: string, value: unknown): NonNullable<OrchestratorClientOptions['clock']> {
  const clock = expectMethods<NonNullable<OrchestratorClientOptions['clock']>>(name, value, ['now', 'setTimeout'])
  if (clock.monotonic !== undefined) expectFunction(`${name}.monotonic`, clock.monotonic)
  return clock
}

function expectStore(name: string, value: unknown): StateStore {
  const store = expectMethods<StateStore>(name, value, STORE_METHODS)
  if (store.attach !== undefined) expectFunction(`${name}.attach`, store.attach)
  return store
}

/** Wraps `rankEngines`: a comparison that returns no number throws an {@link InvalidArgumentError}. Its own errors are passed on. */
function guardComparator(compare: CandidateComparator): CandidateComparator {
  return (a, b) => {
    const order: unknown = compare(a, b)
    if (typeof order === 'number' && !Number.isNaN(order)) return order
    ignoreRejection(order)
    throw new InvalidArgumentError('rankEngines', 'a function that returns a number, not a promise or a boolean')
  }
}
