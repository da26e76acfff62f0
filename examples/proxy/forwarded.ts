import type { IncomingMessage } from 'node:http'

/** A host with an optional port. It becomes a part of URLs in playlists, so nothing else is accepted. */
const HOST = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i
/** An address, with or without a port. */
const ADDRESS = /^[\w.:[\]%-]{1,64}$/
const PREFIX = /^(?:\/[\w.~-]+)+$/

/** The address of the viewer: with a trusted reverse proxy the one that it reports, otherwise that of the connection. */
export function clientAddress({ headers, socket }: IncomingMessage, isTrusted: boolean): string | undefined {
  const forwarded = isTrusted ? lastOf(headers['x-forwarded-for']) : undefined
  return forwarded !== undefined && ADDRESS.test(forwarded) ? forwarded : socket.remoteAddress
}

/** Scheme and host as the viewer knows them: `https://tv.example`. */
export function publicOrigin({ headers }: IncomingMessage, isTrusted: boolean): string {
  const forwardedHost = isTrusted ? lastOf(headers['x-forwarded-host']) : undefined
  const host = [forwardedHost, headers.host].find((name) => name !== undefined && HOST.test(name)) ?? 'localhost'
  const scheme = isTrusted && lastOf(headers['x-forwarded-proto']) === 'https' ? 'https' : 'http'
  return `${scheme}://${host}`
}

/** The path that a trusted reverse proxy has removed: `/tv`, or an empty text. */
export function publicPrefix({ headers }: IncomingMessage, isTrusted: boolean): string {
  const prefix = isTrusted ? lastOf(headers['x-forwarded-prefix'])?.replace(/\/$/, '') : undefined
  return prefix !== undefined && PREFIX.test(prefix) ? prefix : ''
}

/** The last value of a header. The trusted proxy added it; the values before it may be the viewer's invention. */
function lastOf(header: string | string[] | undefined): string | undefined {
  const value = header?.toString().split(',').at(-1)?.trim()
  return value === '' ? undefined : value
}
