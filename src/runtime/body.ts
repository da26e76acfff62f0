import { MalformedResponseError } from '../errors.ts'

/** The longest body that is read, in bytes. The list of 6,000 engines has 8 MB. */
export const MAX_BODY_BYTES: number = 8 * 1_024 * 1_024

/** The error for a body that is longer than {@link MAX_BODY_BYTES}. `label` names the request. */
export function toBodyTooLargeError(label: string, status: number): MalformedResponseError {
  return new MalformedResponseError(`${label}: the answer is longer than ${MAX_BODY_BYTES} bytes`, { status })
}

/**
 * Reads a body to its end, as text.
 *
 * @param label names the request in an error
 * @throws {@link MalformedResponseError} if the body is longer than {@link MAX_BODY_BYTES}
 * @throws the signal's reason if it aborts, or the error of a connection that broke
 */
export async function readBody(response: Response, signal: AbortSignal, label: string): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  await eachChunk(response.body, signal, (chunk) => {
    bytes += chunk.byteLength
    if (bytes > MAX_BODY_BYTES) throw toBodyTooLargeError(label, response.status)
    chunks.push(chunk)
  })
  const [first] = chunks
  return utf8.decode(chunks.length === 1 ? first : concat(chunks, bytes))
}

const utf8 = new TextDecoder()

function concat(chunks: readonly Uint8Array[], bytes: number): Uint8Array {
  const whole = new Uint8Array(bytes)
  let offset = 0
  for (const chunk of chunks) {
    whole.set(chunk, offset)
    offset += chunk.byteLength
  }
  return whole
}

/** As {@link readChunks}, with a callback. Most answers have one chunk, for which a generator costs more than the rest. */
async function eachChunk(
  body: ReadableStream<Uint8Array> | null,
  signal: AbortSignal,
  onChunk: (chunk: Uint8Array) => void,
): Promise<void> {
  if (body === null) return
  const reader: ReadableStreamDefaultReader<Uint8Array> = body.getReader()
  const cancel = (): void => void reader.cancel().catch(() => {})
  signal.addEventListener('abort', cancel, { once: true })
  let isComplete = false
  try {
    while (!isComplete) {
      signal.throwIfAborted()
      const { done, value } = await reader.read()
      signal.throwIfAborted()
      if (done) isComplete = true
      else onChunk(value)
    }
  } finally {
    signal.removeEventListener('abort', cancel)
    if (!isComplete) cancel()
  }
}

/**
 * Reads a body chunk by chunk, until it ends or the signal aborts. A body that is not read to its end is cancelled: otherwise its socket
 * would stay occupied.
 *
 * @throws the signal's reason if it aborts, or the error of a connection that broke
 */
export async function* readChunks(body: ReadableStream<Uint8Array> | null, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
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
