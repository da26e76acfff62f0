/** What undici, Node's `fetch`, tells of a request whose headers it has written. */
interface Sent {
  readonly request?: { readonly origin?: unknown; readonly path?: unknown }
  readonly socket?: { unref?: () => unknown }
}

const CHANNEL = 'undici:client:sendHeaders'

/**
 * Runs `send`, which makes one request to `url`, and lets go of the socket it uses: an event stream that nobody reads any more must not
 * keep a process alive, just as an idle client's timers do not. `fetch` has no option for that; Node tells of the socket on a diagnostics
 * channel, which is listened to only until the answer begins. Where there is none (Bun, Deno, browsers), this does nothing.
 */
export async function inBackground<T>(url: URL, send: () => Promise<T>): Promise<T> {
  const diagnostics = await import('node:diagnostics_channel').catch(() => undefined)
  const onSent = (message: unknown): void => {
    const { request, socket } = message as Sent
    if (request?.origin === url.origin && request.path === url.pathname + url.search) socket?.unref?.()
  }
  diagnostics?.subscribe(CHANNEL, onSent)
  try {
    return await send()
  } finally {
    diagnostics?.unsubscribe(CHANNEL, onSent)
  }
}
