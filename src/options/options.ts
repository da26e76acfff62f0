import type { CandidateComparator, Engine, EngineAddress } from '../model/engine.ts'
import type { Cache } from '../runtime/cache.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { PlatformUrl } from '../runtime/platform.ts'
import type { Random } from '../runtime/random.ts'
import type { Transport } from '../runtime/transport.ts'
import type { StateStore } from '../state/store.ts'

/** Options of `OrchestratorClient`. A name that ends in `Ms` is a duration in milliseconds. */
export interface OrchestratorClientOptions {
  /**
   * The address of the orchestrator: http or https, without credentials and query. A path prefix is kept. A path that ends in `/api/v1`
   * means v1.
   */
  baseUrl: string | PlatformUrl
  /**
   * Sent as a bearer token, only to the origin of `baseUrl`. 1 to 8,192 visible ASCII characters. It is never in an error or a log line.
   * Set it if the orchestrator has an `API_KEY`.
   *
   * @default none
   */
  apiKey?: string | undefined
  /**
   * Headers of each request: an object, `Headers`, a `Map` or pairs. Set them for a reverse proxy that requires a token of its own. The
   * client's `accept`, `content-type`, `user-agent` and, with an `apiKey`, `authorization` win. Values of 6 or more characters are never in
   * an error or a log line.
   *
   * @default none
   */
  headers?: Record<string, string> | Iterable<readonly [string, string]> | undefined
  /**
   * The API of the orchestrator. `'auto'` finds it with one request. Set it to save this request.
   *
   * @default 'auto'
   */
  dialect?: 'auto' | 'unversioned' | 'v1' | undefined
  /**
   * Identifies this proxy in a durable or shared store, 1 to 255 characters. Set it with such a store, to a name that survives a restart.
   *
   * @default a random UUID
   */
  proxyId?: string | undefined
  /**
   * Slots per engine, 1 or more. This limit is never exceeded. Raise it if an engine can play several streams.
   *
   * @default 1
   */
  maxStreamsPerEngine?: number | undefined
  /**
   * How long an engine list that was requested is fresh, 0 or more. 0: every call requests one. Raise it to send fewer requests.
   *
   * @default 2_000
   */
  cacheTtlMs?: number | undefined
  /**
   * Whether to keep the engine list fresh from the event stream of v1, which pushes a list once a second. The stream opens with the first
   * acquire, which does not wait for it, and closes after 60 s without one. A pushed list is fresh for 3 s, whatever `cacheTtlMs` is. While
   * the stream is silent, refused or unreadable, lists are requested as usual. Needs a transport with the method `stream`. Switch it off if
   * a reverse proxy cannot pass on event streams.
   *
   * @default true
   */
  watch?: boolean | undefined
  /**
   * How long after `cacheTtlMs` an old list may be used while the orchestrator fails, 0 or more. Raise it to survive longer outages.
   *
   * @default 30_000
   */
  staleIfErrorMs?: number | undefined
  /**
   * How long a caller waits for a slow refresh of the engine list, 0 or more, before it gets the old list, if `staleIfErrorMs` allows that.
   * The refresh continues for later callers. `acquireEngine` waits on if the old list has no room for the caller, and `listEngines({ fresh:
   * true })` always does. 0: never wait while there is an old list.
   *
   * @default 300
   */
  refreshWaitMs?: number | undefined
  /**
   * How long `startStream` and `streamStarted` wait for the orchestrator's answer, 0 or more. Then they resolve with a stream that is
   * `announcing`, and the start is delivered later. Lower it if viewers must not wait.
   *
   * @default 1_000
   */
  startWaitMs?: number | undefined
  /**
   * The limit of one attempt at a request, with the body of the answer, above 0. Raise it for an orchestrator that answers slowly.
   *
   * @default 3_000
   */
  requestTimeoutMs?: number | undefined
  /**
   * The limit of one request for a new engine, and again of the wait until the engine is listed, above 0. Raise it if engines start slowly.
   *
   * @default 60_000
   */
  provisionTimeoutMs?: number | undefined
  /**
   * Requests for a new engine that may be in flight at the same time, 1 or more, if that many callers wait. Raise it if many viewers come
   * at once and the machine can start several engines together. Not used on v1, where the orchestrator's `max_replicas` is the limit.
   *
   * @default 3
   */
  maxConcurrentProvisions?: number | undefined
  /**
   * Requests to the orchestrator that may be in flight at the same time, 1 or more. Further requests wait. Lower it if the orchestrator, or
   * a proxy in front of it, cannot serve so many at once.
   *
   * @default 16
   */
  maxConcurrentRequests?: number | undefined
  /**
   * How long a lease lasts that starts no stream, above 0. Then its slot is released. Raise it if your engines take longer to open a
   * playback.
   *
   * @default 60_000
   */
  leaseTtlMs?: number | undefined
  /**
   * How long an engine that was just handed out gets no further stream, if another engine has room, 0 or more. No caller waits because of
   * it. Raise it for engines that need a moment between two starts.
   *
   * @default 0
   */
  settleMs?: number | undefined
  /**
   * How long the id of an ended stream is remembered, so that its end is not sent again, 0 or more. Raise it if a host may end a stream a
   * second time after more than an hour.
   *
   * @default 3_600_000
   */
  endedRetentionMs?: number | undefined
  /**
   * How many ids of ended streams are remembered, 1 or more. Raise it if more streams end within `endedRetentionMs`.
   *
   * @default 100_000
   */
  endedRetentionMax?: number | undefined
  /**
   * How often the orchestrator's health is read, 0 or more. 0: only `checkHealth()` reads it. Lower it to get `health:changed` sooner.
   *
   * @default 30_000
   */
  healthIntervalMs?: number | undefined
  /**
   * How often expired leases and old ids of ended streams are removed, 0 or more. 0: only `sweep()` removes them. Lower it if
   * `lease:expired` must come sooner. Set it to 0 if the host calls `sweep()` itself.
   *
   * @default 300_000
   */
  sweepIntervalMs?: number | undefined
  /**
   * How often live streams are compared with the orchestrator's, and differences repaired, 0 or more. 0: only `reconcile()` does it. Lower
   * it to repair sooner after the orchestrator has restarted; raise it to send fewer requests.
   *
   * @default 30_000
   */
  reconcileIntervalMs?: number | undefined
  /**
   * How failed requests are retried. Change it if callers must get the error of a read sooner, or if reads must survive longer failures.
   *
   * @default all defaults of {@link RetryOptions}
   */
  retry?: RetryOptions | undefined
  /**
   * How long a start or an end stays queued through an outage, 0 or more. Then it is given up. Raise it to survive longer outages.
   *
   * @default 3_600_000
   */
  deliveryTimeoutMs?: number | undefined
  /**
   * How many starts and ends may be undelivered, 1 or more. Beyond that the event that has waited longest is given up. Raise it if more
   * streams start and end during an outage that you want to survive; lower it to use less memory.
   *
   * @default 100_000
   */
  maxPendingEvents?: number | undefined
  /**
   * When to stop sending to an orchestrator that fails. `false`: never. Raise `failureThreshold` if single failures are normal, for example
   * behind an unreliable reverse proxy. Lower `resetAfterMs` to send again sooner after an outage.
   *
   * @default all defaults of {@link CircuitBreakerOptions}
   */
  circuitBreaker?: CircuitBreakerOptions | false | undefined
  /**
   * An engine that is handed out while the orchestrator cannot be reached and no usable list is left. It takes no slot and is never
   * reported.
   *
   * @default none
   */
  fallbackEngine?: EngineAddress | undefined
  /**
   * Rewrites an engine's address, for a proxy outside the orchestrator's network. The orchestrator always gets the address that it listed,
   * also in `statUrl` and `commandUrl` of a start.
   *
   * @default the listed address
   */
  mapEngine?: ((engine: Engine) => EngineAddress) | undefined
  /**
   * Compares two candidates: negative if the first is better, 0 if chance decides. Set it to prefer engines by a rule of your own. Each call
   * of `acquireEngine` then reads all engines. The built-in order does not.
   *
   * @default healthy engines first, then without the `content` of the call, few streams, few streams of the same VPN node, a forwarded
   * port, longest unused
   */
  rankEngines?: CandidateComparator | undefined
  /** Sends HTTP requests. @default a `KyTransport` */
  transport?: Transport | undefined
  /** Reads the time and arms all timers. A clock of your own should have the method `monotonic()`. @default a `SystemClock` */
  clock?: Clock | undefined
  /**
   * Keeps the engine list between calls. A `Keyv` instance is a cache, and can share the list between processes.
   *
   * @default in this process
   */
  cache?: Cache | undefined
  /**
   * Keeps slots, ids of ended streams and the journal. Set one so that a restart loses nothing, or to share slots. @default a `MemoryStore`
   */
  store?: StateStore | undefined
  /** Receives log lines. `console`, a pino logger and a bunyan logger work as they are. @default silent */
  logger?: Logger | undefined
  /** Returns a number in [0, 1). Decides between equal engines and spreads retries. @default `Math.random` */
  random?: Random | undefined
}

/** The option `retry`: the delay after failure `n` (from 0) is a random part of `baseDelayMs * 2 ** n`, at most `maxDelayMs`. */
export interface RetryOptions {
  /**
   * Attempts of a read, the first included, 1 or more. Events are retried for `deliveryTimeoutMs`, requests for a new engine never.
   *
   * @default 5
   */
  attempts?: number | undefined
  /** The limit of the first delay, 0 or more milliseconds. A `Retry-After` of the orchestrator wins, up to 60 s. @default 200 */
  baseDelayMs?: number | undefined
  /** The longest delay, 0 or more milliseconds, unless a `Retry-After` requires more. @default 10_000 */
  maxDelayMs?: number | undefined
}

/** The option `circuitBreaker`. Failures are time-outs, broken connections, 5xx, 408, 425 and 429. */
export interface CircuitBreakerOptions {
  /** Failures in a row that open the circuit, 1 or more. @default 5 */
  failureThreshold?: number | undefined
  /** Milliseconds for which nothing is sent, above 0. Then one read checks whether the orchestrator works again. @default 10_000 */
  resetAfterMs?: number | undefined
}
