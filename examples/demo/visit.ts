import { once } from 'node:events'
import type { ClientRequest, IncomingMessage } from 'node:http'

/** How a request for a stream ended. */
export interface Visit {
  state: 'served' | 'refused' | 'failed'
  /** Why it was refused, or how it failed. */
  reason: string
  /** When to come again, as the proxy asked for it. */
  retryAfterMs?: number
}

/** Why it is refused when the engines failed that the proxy tried. */
export const ENGINES_FAILED = 'engines_failed'

/** Reads an answer to its end. */
export async function visit(
  request: ClientRequest,
  { onBytes, wantsMore }: { onBytes(count: number): void; wantsMore(): boolean },
): Promise<Visit> {
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  request.on('error', () => {})
  if (response.statusCode !== 200) return refusal(response)
  let hasBytes = false
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      hasBytes = true
      onBytes(chunk.length)
    }
  } catch {
    // Cut off, by itself or by the proxy: told apart below.
  }
  if (!hasBytes) return { state: 'failed', reason: 'not a single byte came' }
  return wantsMore() ? { state: 'failed', reason: 'cut off in the midst of the stream' } : { state: 'served', reason: '' }
}

async function refusal(response: IncomingMessage): Promise<Visit> {
  let body = ''
  for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) body += chunk
  const { reason = body } = JSON.parse(body) as { reason?: string }
  const retryAfterMs = Number(response.headers['retry-after']) * 1_000
  if ((response.statusCode === 503 || reason === ENGINES_FAILED) && retryAfterMs > 0) return { state: 'refused', reason, retryAfterMs }
  return { state: 'failed', reason: `answered ${response.statusCode}: ${reason}` }
}
