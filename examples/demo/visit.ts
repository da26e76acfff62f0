import { once } from 'node:events'
import type { ClientRequest, IncomingMessage } from 'node:http'

/** The outcome of a request for a stream. */
export interface Visit {
  state: 'served' | 'refused' | 'failed'
  /** Why the request was refused, or how it failed. */
  reason: string
  /** The `Retry-After` of the proxy. */
  retryAfterMs?: number
}

/** The reason of a refusal when every engine that the proxy tried has failed. */
export const ENGINES_FAILED = 'engines_failed'

/** Reads a response to its end. */
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
    // The viewer left, or the proxy cut it off. `wantsMore` distinguishes them below.
  }
  if (!hasBytes) return { state: 'failed', reason: 'no byte arrived' }
  return wantsMore() ? { state: 'failed', reason: 'cut off during the stream' } : { state: 'served', reason: '' }
}

async function refusal(response: IncomingMessage): Promise<Visit> {
  let body = ''
  for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) body += chunk
  const { reason = body } = JSON.parse(body) as { reason?: string }
  const retryAfterMs = Number(response.headers['retry-after']) * 1_000
  if ((response.statusCode === 503 || reason === ENGINES_FAILED) && retryAfterMs > 0) return { state: 'refused', reason, retryAfterMs }
  return { state: 'failed', reason: `status ${response.statusCode}: ${reason}` }
}
