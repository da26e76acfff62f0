import type { IncomingMessage } from 'node:http'

/** An address, with or without a port. */
const ADDRESS = /^[\w.:[\]%-]{1,64}$/

/** The address of the viewer: with a trusted reverse proxy the one that it reports, otherwise that of the connection. */
export function clientAddress({ headers, socket }: IncomingMessage, isTrusted: boolean): string | undefined {
  const forwarded = isTrusted ? lastOf(headers['x-forwarded-for']) : undefined
  return forwarded !== undefined && ADDRESS.test(forwarded) ? forwarded : socket.remoteAddress
}

/** The last value of a header. The trusted proxy added it; the values before it may be the viewer's invention. */
function lastOf(header: string | string[] | undefined): string | undefined {
  const value = header?.toString().split(',').at(-1)?.trim()
  return value === '' ? undefined : value
}
