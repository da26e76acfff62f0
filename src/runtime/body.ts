import { MalformedResponseError } from '../errors.ts'

/** No answer of an orchestrator comes near this: 6,000 engines make 8 MB. */
export const LARGEST_BODY_BYTES: number = 8 * 1_024 * 1_024

/** The error for a body beyond {@link LARGEST_BODY_BYTES}. */
export function tooLarge(label: string, status: number): MalformedResponseError {
  return new MalformedResponseError(`${label}: the answer is longer than ${LARGEST_BODY_BYTES} bytes`, { status })
}

/**
 * Reads a body as text, to its end or its limit. In every case the body is read or cancelled, since otherwise its socket stays
 * occupied.
 */
export async function readBody(response: Response, signal: AbortSignal, label: string): Promise<string> {
  if (response.body === null) return ''
  const reader: ReadableStreamDefaultReader<Uint8Array> = response.body.getReader()
  const cancel = (): void => void reader.cancel().catch(() => {})
  signal.addEventListener('abort', cancel, { once: true })
  try {
    signal.throwIfAborted()
    return await decode(reader, () => tooLarge(label, response.status))
  } catch (error) {
    cancel()
    throw error
  } finally {
    signal.removeEventListener('abort', cancel)
  }
}

async function decode(reader: ReadableStreamDefaultReader<Uint8Array>, overflow: () => Error): Promise<string> {
  const decoder = new TextDecoder()
  let bytes = 0
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    bytes += value.byteLength
    if (bytes > LARGEST_BODY_BYTES) throw overflow()
    text += decoder.decode(value, { stream: true })
  }
}

/**
 * A body piece by piece, until it ends or the signal aborts, which cancels it: its socket is free then, or closed.
 *
 * @throws the signal's reason when it aborts, and what the connection broke with
 */
export async function* chunks(body: ReadableStream<Uint8Array> | null, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  if (body === null) return
  const reader: ReadableStreamDefaultReader<Uint8Array> = body.getReader()
  const cancel = (): void => void reader.cancel().catch(() => {})
  signal?.addEventListener('abort', cancel, { once: true })
  try {
    for (;;) {
      signal?.throwIfAborted()
      const { done, value } = await reader.read()
      signal?.throwIfAborted()
      if (done) return
      yield value
    }
  } finally {
    signal?.removeEventListener('abort', cancel)
    cancel()
  }
}
