import { InvalidArgumentError } from '../../errors.ts'
import type { Engine, EngineAddress } from '../../model/engine.ts'
import type { StartEvent } from '../../model/stream.ts'
import { ignoreRejection, isPromiseLike } from '../../runtime/maybe-promise.ts'
import { expectAddress } from '../../runtime/validate.ts'

/** Splits a URL at its host and port. Captures the text before them (scheme and credentials) and after them. */
const AROUND_ADDRESS = /^(https?:\/\/(?:[^/?#@\\]*@)?)(?:\[[^\]]*\]|[^/?#@\\:]*)(?::\d*)?([/?#].*|)$/is
const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 }

/**
 * The engine with the address at which this proxy reaches it (H17). All other fields stay as listed.
 *
 * @param map the host's `mapEngine`. `undefined`: the host reaches the listed address
 * @throws {@link InvalidArgumentError} if `map` returns no address, or a promise; else the error of `map`
 */
export function mapEngine(engine: Engine, map: ((engine: Engine) => EngineAddress) | undefined): Engine {
  if (map === undefined) return engine
  const address: unknown = map(engine)
  if (typeof address !== 'object' || address === null || isPromiseLike(address)) {
    ignoreRejection(address)
    throw new InvalidArgumentError('mapEngine', 'a function that returns { host, port }, not a promise')
  }
  const { host, port } = expectAddress('mapEngine', address)
  // Copies the getters of the dates too: a spread would replace them by shared `Date` objects.
  const properties = {
    ...Object.getOwnPropertyDescriptors(engine),
    host: { value: host, enumerable: true },
    port: { value: port, enumerable: true },
  }
  return Object.freeze(Object.defineProperties({}, properties)) as Engine
}

/**
 * The session with the engine's listed address in its URLs, in place of the addresses at which this proxy reaches the engine: 2025-10 polls
 * `stat_url` from its own network (H7, H17). URLs with other addresses, and all other parts of the URLs, stay as they are.
 *
 * @param reached the addresses at which this proxy reaches the engine
 * @param listed the address that the orchestrator lists
 */
export function toListedSession(
  session: StartEvent['session'],
  reached: readonly EngineAddress[],
  listed: EngineAddress,
): StartEvent['session'] {
  const others = reached.filter((address) => !isSameAddress(address, listed))
  if (others.length === 0) return session
  return { ...session, statUrl: toListedUrl(session.statUrl, others, listed), commandUrl: toListedUrl(session.commandUrl, others, listed) }
}

function toListedUrl(text: string, reached: readonly EngineAddress[], { host, port }: EngineAddress): string {
  const url = new URL(text)
  const address = { host: url.hostname, port: url.port === '' ? (DEFAULT_PORTS[url.protocol] ?? 0) : Number(url.port) }
  if (!reached.some((candidate) => isSameAddress(candidate, address))) return text
  const [, before, after] = AROUND_ADDRESS.exec(text) ?? []
  if (before !== undefined && after !== undefined) return `${before}${hostInUrl(host)}:${port}${after}`
  // An unusual spelling, such as backslashes for slashes, which only a URL parser understands. The parser normalizes the rest too.
  url.hostname = hostInUrl(host)
  url.port = String(port)
  return url.href
}

/** The host as it is written in a URL: an IPv6 address has brackets there. Orchestrators list it with or without them. */
export function hostInUrl(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
}

/** Whether two addresses are the same. Upper and lower case, and the brackets of an IPv6 address, make no difference. */
export function isSameAddress(a: EngineAddress, b: EngineAddress): boolean {
  return a.port === b.port && (a.host === b.host || normalizedHost(a.host) === normalizedHost(b.host))
}

function normalizedHost(host: string): string {
  return URL.parse(`http://${hostInUrl(host)}`)?.hostname ?? host.toLowerCase()
}
