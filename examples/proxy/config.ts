import { parseDuration } from './durations.ts'

/** Environment variables, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>

/** The checked configuration of this proxy. `OrchestratorClient.fromEnv` reads the variables of the orchestrator. */
export interface ProxyConfig {
  /** Address to listen on. Without a host: all interfaces. */
  listen: { host?: string; port: number }
  /** Scheme of the engines' HTTP API. */
  scheme: 'http' | 'https'
  /** The only engine if there is no orchestrator; otherwise the fallback while the orchestrator cannot be reached. */
  engine: { host: string; port: number }
  /** Whether `engine` was configured. A default engine is no fallback: viewers would get an error instead of a `Retry-After`. */
  isEngineNamed: boolean
  /** Replaces every host of the engine list, for a proxy outside the orchestrator's Docker network. */
  engineHost: string | undefined
  /** Time limit for the response of an engine, and again for the first byte of the stream. */
  headerTimeoutMs: number
  /** How long an engine may send nothing during a stream. */
  idleTimeoutMs: number
  /** Maximum number of streams per engine, as `OrchestratorClient.fromEnv` reads it too. */
  maxStreamsPerEngine: number
  /** How long a viewer waits for a free slot. */
  capacityTimeoutMs: number
  /** How long a stream continues after its last viewer has left. */
  lingerMs: number
  /** How long a viewer may read more slowly than the video arrives. */
  slowViewerTimeoutMs: number
  /** Whether all paths of a content answer with HLS instead of MPEG-TS. */
  isHls: boolean
  /** How long an HLS session continues without requests. */
  hlsTimeoutMs: number
  /** Time limit for a shutdown, from the signal to the exit. Viewers may watch until shortly before it. */
  shutdownTimeoutMs: number
  /** Path before all paths of the proxy: empty, or with a slash at its begin and none at its end. */
  basePath: string
  /** Whether the viewer's address is that of the header `X-Forwarded-For`. */
  isProxyTrusted: boolean
  /** Whether the status page shows keys of contents and addresses of viewers. */
  showsDetails: boolean
  logLevel: LogLevel
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** A variable has an invalid value, and nothing was started. The message never quotes the value, because it may contain a password. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'

  constructor(variable: string, expected: string) {
    super(`${variable}: expected ${expected}`)
  }
}

const LEVELS: readonly string[] = ['debug', 'info', 'warn', 'error']
/** Rejects a URL instead of a host: errors of connections would show it, with its password. */
const HOST = /^[^\s/?#@\\]+$/
const TRUE: readonly string[] = ['1', 'true', 'yes', 'on']
const FALSE: readonly string[] = ['', '0', 'false', 'no', 'off']

/**
 * Reads the variables of the Go proxy, with the same meanings and defaults. An engine has 10 s to respond; old releases of the Go proxy gave it
 * 1 s, but working engines have taken longer.
 *
 * @throws {@link ConfigError} that names the variable
 */
export function readConfig(env: Environment): ProxyConfig {
  const host = parseHost(env, 'ACEXY_HOST')
  const port = text(env, 'ACEXY_PORT')
  return {
    // Some releases of the Go proxy use ACEXY_ADDR.
    listen: parseListenAddress(env, text(env, 'ACEXY_LISTEN_ADDR') === undefined ? 'ACEXY_ADDR' : 'ACEXY_LISTEN_ADDR'),
    scheme: parseScheme(env),
    engine: { host: host ?? 'localhost', port: port === undefined ? 6878 : parsePort('ACEXY_PORT', port) },
    isEngineNamed: host !== undefined || port !== undefined,
    engineHost: parseHost(env, 'ACEXY_ENGINE_HOST'),
    headerTimeoutMs: duration(env, 'ACEXY_NO_RESPONSE_TIMEOUT', 10_000),
    idleTimeoutMs: duration(env, 'ACEXY_EMPTY_TIMEOUT', 60_000),
    maxStreamsPerEngine: parseLimit(env),
    capacityTimeoutMs: duration(env, 'ACEXY_CAPACITY_TIMEOUT', 30_000, { zero: true }),
    lingerMs: duration(env, 'ACEXY_LINGER', 5_000, { zero: true }),
    slowViewerTimeoutMs: duration(env, 'ACEXY_SLOW_VIEWER_TIMEOUT', 30_000),
    isHls: parseBoolean(env, 'ACEXY_M3U8'),
    hlsTimeoutMs: duration(env, 'ACEXY_M3U8_STREAM_TIMEOUT', 30_000),
    shutdownTimeoutMs: duration(env, 'ACEXY_SHUTDOWN_TIMEOUT', 10_000),
    basePath: parseBasePath(env),
    isProxyTrusted: parseBoolean(env, 'ACEXY_TRUST_PROXY'),
    showsDetails: parseBoolean(env, 'ACEXY_STATUS_DETAILS'),
    logLevel: parseLogLevel(env),
  }
}

/** Variables of the Go proxy and of its fork that have no effect here. */
const WITHOUT_EFFECT = ['ACEXY_BUFFER', 'ACEXY_BUFFER_SIZE', 'ACEXY_STREAM_GRACE_PERIOD', 'ACEXY_TIMEOUT']

/** Returns the names of the variables that are set and have no effect. */
export function variablesWithoutEffect(env: Environment): readonly string[] {
  return WITHOUT_EFFECT.filter((name) => text(env, name) !== undefined)
}

/** Returns the value of a variable. An empty variable counts as unset: `docker compose` passes an empty one if the host has none. */
function text(env: Environment, name: string): string | undefined {
  const value = env[name]?.trim()
  return value === '' ? undefined : value
}

function duration(env: Environment, name: string, defaultMs: number, { zero = false } = {}): number {
  const value = text(env, name)
  if (value === undefined) return defaultMs
  const ms = parseDuration(value)
  // Timers are limited to 31 bits: a longer delay would fire at once.
  if (ms === undefined || ms > 2 ** 31 - 1 || (ms < 1 && !(zero && ms === 0))) {
    throw new ConfigError(name, 'a duration such as 500ms, 10s or 1m30s')
  }
  return Math.round(ms)
}

function parseListenAddress(env: Environment, name: string): ProxyConfig['listen'] {
  const value = text(env, name) ?? ':8080'
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d+)$/.exec(value)
  const host = match?.[1] ?? match?.[2] ?? ''
  if (match === null || (host !== '' && !HOST.test(host)))
    throw new ConfigError(name, 'an address such as :8080, 127.0.0.1:8080 or [::1]:8080')
  const port = parsePort(name, match[3] ?? '', 0)
  return host ? { host, port } : { port }
}

function parseHost(env: Environment, name: string): string | undefined {
  const value = text(env, name)
  if (value !== undefined && !HOST.test(value)) throw new ConfigError(name, 'a host name or an IP address, not a URL')
  return value
}

function parsePort(name: string, digits: string, least = 1): number {
  const port = /^\d{1,5}$/.test(digits) ? Number(digits) : Number.NaN
  if (!(port >= least && port <= 65_535)) throw new ConfigError(name, `a port from ${least} to 65535`)
  return port
}

function parseScheme(env: Environment): 'http' | 'https' {
  const value = text(env, 'ACEXY_SCHEME') ?? 'http'
  if (value !== 'http' && value !== 'https') throw new ConfigError('ACEXY_SCHEME', 'http or https')
  return value
}

function parseLogLevel(env: Environment): LogLevel {
  const value = text(env, 'ACEXY_LOG_LEVEL') ?? 'INFO'
  const level = value.toLowerCase()
  if (!LEVELS.includes(level)) throw new ConfigError('ACEXY_LOG_LEVEL', 'DEBUG, INFO, WARN or ERROR')
  return level as LogLevel
}

/** Parses a path such as `/tv`. The slash at its end may be missing. `/` is the same as none. */
function parseBasePath(env: Environment): string {
  const path = (text(env, 'ACEXY_BASE_PATH') ?? '').replace(/\/$/, '')
  const isPath = path
    .split('/')
    .every((segment, index) => (index === 0 ? segment === '' : /^[\w.~-]+$/.test(segment) && !/^\.\.?$/.test(segment)))
  if (!isPath) throw new ConfigError('ACEXY_BASE_PATH', 'a path such as /tv, of letters, digits and any of / _ . ~ -')
  return path
}

function parseBoolean(env: Environment, name: string): boolean {
  const value = (text(env, name) ?? '').toLowerCase()
  if (!TRUE.includes(value) && !FALSE.includes(value)) throw new ConfigError(name, 'true or false')
  return TRUE.includes(value)
}

/** Parses the limit, also without an orchestrator: otherwise a mistake would go unnoticed. */
function parseLimit(env: Environment): number {
  const value = text(env, 'ACEXY_MAX_STREAMS_PER_ENGINE') ?? '1'
  if (!/^[1-9]\d{0,8}$/.test(value)) {
    throw new ConfigError('ACEXY_MAX_STREAMS_PER_ENGINE', 'a whole number, 1 or more')
  }
  return Number(value)
}
