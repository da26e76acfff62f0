import { InvalidArgumentError } from '../../errors.ts'
import type { Engine, EngineAddress } from '../../model/engine.ts'
import type { StartEvent } from '../../model/stream.ts'
import { ignoreRejection, isPromiseLike } from '../../runtime/maybe-promise.ts'
import { expectAddress } from '../../runtime/validate.ts'

/** Scheme, credentials, host and port, and the rest of a URL. */
const URL_PARTS = /^(https?:\/\/(?:[^/?#@\\]*@)?)(?:\[[^\]]*\]|[^/?#@\\:]*)(?::\d*)?([/?#].*|)$/is
const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 }

/** A host as it stands in a URL: an IPv6 address gets its brackets, which the orchestrator may or may not list. */
export function hostInUrl(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
}

/** Whether two addresses are the same: hosts compare without case, IPv6 addresses with or without brackets. */
export function isSameAddress(a: EngineAddress, b: EngineAddress): boolean {
  return a.port === b.port && (a.host === b.host || comparable(a.host) === comparable(b.host))
}

/**
 * A session with the engine's listed address in its URLs where they have an address at which this proxy reaches the engine: 2025-10 polls
 * `stat_url`, from its own network (H7, H17). Other URLs stay as they are, and so does the rest of these.
 *
 * @param reached the addresses at which this proxy reaches the engine
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
  const [, start, end] = URL_PARTS.exec(text) ?? []
  if (start !== undefined && end !== undefined) return `${start}${hostInUrl(host)}:${port}${end}`
  // Written in a way that only a URL parser understands.
  url.hostname = hostInUrl(host)
  url.port = String(port)
  return url.href
}

function comparable(host: string): string {
  return URL.parse(`http://${hostInUrl(host)}`)?.hostname ?? host.toLowerCase()
}

/**
 * The engine under the address this proxy reaches it by (hazard 17). Everything else stays as listed.
 *
 * @throws {@link InvalidArgumentError} where the host's `mapEngine` returns no address, or a promise; whatever `mapEngine` throws
 */
export function mapEngine(engine: Engine, map: ((engine: Engine) => EngineAddress) | undefined): Engine {
  if (map === undefined) return engine
  const address: unknown = map(engine)
  if (isPromiseLike(address)) {
    ignoreRejection(address)
    throw new InvalidArgumentError('mapEngine', 'a function that returns an address, not a promise of one')
  }
  const { host, port } = expectAddress('mapEngine', address)
  const properties = {
    ...Object.getOwnPropertyDescriptors(engine),
    host: { value: host, enumerable: true },
    port: { value: port, enumerable: true },
  }
  return Object.freeze(Object.defineProperties({}, properties)) as Engine
}
