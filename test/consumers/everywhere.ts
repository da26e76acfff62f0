// Compiles under every configuration, also with `lib: ["es2022"]` and `types: []`: it uses no type of a platform.
import {
  CapacityError,
  type CapacityReason,
  type CircuitState,
  type EngineLease,
  KyTransport,
  type KyTransportOptions,
  OrchestratorClient,
  type OrchestratorClientOptions,
  OrchestratorError,
  type PlaybackSession,
  type StateStore,
  type StreamHandle,
  type Transport,
} from 'acestream-orchestrator-client'
import { type RedisClient, RedisStore } from 'acestream-orchestrator-client/redis'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { createHandlers, FakeOrchestrator, ManualClock } from 'acestream-orchestrator-client/testing'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

// The code of an error determines its class.
export function describe(error: unknown): string {
  if (!(error instanceof OrchestratorError)) return 'not an error of the library'
  if (error.code === 'CAPACITY') return `${error.reason} ${error.retryAfterMs ?? 0}`
  switch (error.code) {
    case 'INVALID_ARGUMENT':
      return error.argument
    case 'CONNECTION':
      return String(error.maybeProcessed)
    case 'REQUEST_TIMEOUT':
      return String(error.timeoutMs)
    case 'RESPONSE':
    case 'AUTHENTICATION':
      return String(error.status)
    case 'MALFORMED_RESPONSE':
      return error.body
    case 'CIRCUIT_OPEN':
      return String(error.retryAfterMs)
    case 'CLIENT_CLOSED':
      return error.message
    case 'STREAM_LOST':
      return error.containerId
    case 'STORE':
      return error.reason
    case 'PLAYBACK_FAILED':
      return error.attempts.map(({ containerId }) => containerId).join()
    case 'CONTENT':
      return error.message
    default: {
      const none: never = error
      return none
    }
  }
}

export function isFull(error: Error): boolean {
  return error instanceof CapacityError ? error.reason === 'full' : error instanceof OrchestratorError && error.retryable
}

// An editor suggests the known reasons, and any other string is accepted too.
type Known<Reason> = Reason extends string ? (string extends Reason ? never : Reason) : never
export const reasons: Equal<
  Known<CapacityReason>,
  | 'full'
  | 'no_engines'
  | 'unreachable'
  | 'lease_expired'
  | 'provision_timeout'
  | 'store_unavailable'
  | 'unauthorized'
  | 'vpn_disconnected'
  | 'vpn_error'
  | 'circuit_breaker'
  | 'max_capacity'
  | 'general_error'
> = true
export const later: CapacityReason = 'a_code_of_a_later_orchestrator'

// Options accept undefined, because settings of a host may be missing.
declare const settings: { waitMs?: number; limit?: number; store?: StateStore; transport?: Transport; name?: string }
export const options: OrchestratorClientOptions = {
  baseUrl: 'http://orchestrator:8000',
  maxStreamsPerEngine: settings.limit,
  store: settings.store,
  transport: settings.transport,
  retry: { attempts: undefined },
  circuitBreaker: { resetAfterMs: undefined },
  mapEngine: undefined,
}
export const kyOptions: KyTransportOptions = { clock: undefined }
export const kyTransport = new KyTransport(kyOptions)
export const fromEnv = OrchestratorClient.fromEnv({}, { baseUrl: settings.name, proxyId: undefined })

export async function play(client: OrchestratorClient, session: PlaybackSession): Promise<CircuitState> {
  const lease: EngineLease = await client.acquireEngine({ waitMs: settings.waitMs, exclude: undefined, signal: undefined })
  const stream: StreamHandle = await lease.startStream({
    keyType: 'infohash',
    key: 'a',
    session,
    streamId: settings.name,
    labels: undefined,
  })
  stream.lost.addEventListener('abort', () => void lease.fail(stream.lost.reason))
  const { error } = await stream.end()
  if (error?.code === 'CAPACITY') describe(error.reason)
  await client.close({ timeoutMs: undefined })
  return client.metrics().circuit
}

export async function leave(client: OrchestratorClient): Promise<void> {
  await using closing = client
  await using lease = await closing.acquireEngine()
  await lease.release()
}

export const stores = (client: RedisClient) => [
  new RedisStore({ client, name: settings.name, clock: undefined }),
  new SqliteStore({ path: ':memory:', onFailure: undefined, logger: undefined }),
]

const clock = new ManualClock()
export const fake = new FakeOrchestrator({ clock, engines: undefined, latencyMs: undefined })
fake.inject({ kind: 'status', status: undefined, times: 1 })
export const prefixes: string[] = createHandlers(fake).map((handler) => handler.info.header.toString())
