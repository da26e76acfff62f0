import type { TransportStream } from '../runtime/transport.ts'
import type { FakeResponse, PushListener } from './http.ts'

/** Number of messages that are kept for a slow reader. It loses further ones, as with a real orchestrator. */
const UNREAD_MESSAGES = 16

/** Converts a response to one whose body arrives in pieces. A response that is not an event stream has one piece: its body. */
export function toTransportStream(response: FakeResponse, signal: AbortSignal | undefined): TransportStream {
  const { status, headers, body, subscribe } = response
  return { status, headers: new Headers(headers), body: subscribe === undefined ? wholeText(body) : pushedTexts(subscribe, signal) }
}

async function* wholeText(text: string): AsyncGenerator<string> {
  yield text
}

function pushedTexts(subscribe: (listener: PushListener) => () => void, signal: AbortSignal | undefined): AsyncIterable<string> {
  const unread: string[] = []
  let isOver = false
  let wake = (): void => {}
  const change = (): void => wake()
  const unsubscribe = subscribe({
    onText: (text) => {
      if (unread.length < UNREAD_MESSAGES) unread.push(text)
      change()
    },
    onEnd: () => {
      isOver = true
      change()
    },
  })
  const leave = (): void => {
    unsubscribe()
    change()
  }
  signal?.addEventListener('abort', leave, { once: true })
  if (signal?.aborted) leave()
  async function* read(): AsyncGenerator<string> {
    try {
      for (;;) {
        signal?.throwIfAborted()
        const text = unread.shift()
        if (text !== undefined) yield text
        else if (isOver) return
        else
          await new Promise<void>((resolve) => {
            wake = resolve
          })
      }
    } finally {
      signal?.removeEventListener('abort', leave)
      unsubscribe()
    }
  }
  return read()
}
