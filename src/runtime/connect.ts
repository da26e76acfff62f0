import type { PlatformAbortSignal } from './platform.ts'

/**
 * Opens a TCP connection to an address and closes it at once, without sending anything. Rejects with the error of the connection if it cannot be
 * made. The caller limits the time: it aborts `signal`, and the connection must then be closed.
 *
 * @param address an IPv6 address has no brackets
 */
export type Connect = (
  address: { readonly host: string; readonly port: number },
  options: { readonly signal: PlatformAbortSignal },
) => Promise<void>

/** Returns a {@link Connect} for Node, Bun and Deno. `undefined` in a browser, which has no sockets. */
export async function loadConnect(): Promise<Connect | undefined> {
  try {
    const { default: net } = await import('node:net')
    return typeof net.connect === 'function' ? (address, { signal }) => connectBy(net, address, signal) : undefined
  } catch {
    return undefined
  }
}

function connectBy(
  net: Pick<typeof import('node:net'), 'connect'>,
  address: Parameters<Connect>[0],
  signal: PlatformAbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const socket = net.connect({ host: address.host, port: address.port })
    const onAbort = (): void => void socket.destroy()
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('connect', () => {
      resolve()
      socket.destroy()
    })
    socket.once('error', reject)
    socket.once('close', () => {
      signal.removeEventListener('abort', onAbort)
      reject(new Error('the connection was closed before it was made'))
    })
  })
}
