import { createParser } from 'eventsource-parser'
import { MalformedResponseError } from '../errors.ts'
import { waitUnlessAborted } from '../runtime/abort.ts'
import { LARGEST_BODY_BYTES } from '../runtime/body.ts'

/** One server-sent event. */
export interface ServerSentEvent {
  /** Its name; absent where the server gave none. */
  readonly name: string | undefined
  readonly data: string
}

/**
 * Reads a body as server-sent events, each as soon as it is whole, until the body ends. The pieces may be cut anywhere, within a
 * character too. Leaves at once when the signal aborts, also a body that does not heed it.
 *
 * @throws the signal's reason, what the body broke with, or a {@link MalformedResponseError} for an event beyond 8 MiB
 */
export async function readEvents(
  body: AsyncIterable<string | Uint8Array>,
  signal: AbortSignal,
  onEvent: (event: ServerSentEvent) => void,
): Promise<void> {
  let isTooLong = false
  const parser = createParser({
    maxBufferSize: LARGEST_BODY_BYTES,
    onEvent: ({ event, data }) => onEvent({ name: event, data }),
    onError: ({ type }) => {
      if (type === 'max-buffer-size-exceeded') isTooLong = true
    },
  })
  const decoder = new TextDecoder()
  const pieces = body[Symbol.asyncIterator]()
  try {
    for (;;) {
      const { done, value } = await waitUnlessAborted(pieces.next(), signal)
      if (done) return
      if (typeof value !== 'string' && !ArrayBuffer.isView(value)) throw new TypeError('a piece of the body is neither text nor bytes')
      parser.feed(typeof value === 'string' ? value : decoder.decode(value, { stream: true }))
      if (isTooLong) throw new MalformedResponseError(`an event is longer than ${LARGEST_BODY_BYTES} bytes`)
    }
  } finally {
    // Not awaited: one that hangs would keep its reader.
    void pieces.return?.().catch(() => {})
  }
}
