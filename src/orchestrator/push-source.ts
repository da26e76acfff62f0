import { createParser } from 'eventsource-parser'
import { classifyFailure, MalformedResponseError, OrchestratorError } from '../errors.ts'
import { waitUnlessAborted } from '../runtime/abort.ts'
import { MAX_BODY_BYTES } from '../runtime/body.ts'
import { toConnectionError } from '../runtime/connection-failure.ts'
import { readField, readObject } from './decoding.ts'
import type { DialectResolver } from './dialects.ts'
import { addLocation } from './request-location.ts'
import type { CallOptions, Requester } from './requester.ts'
import { ROUTES } from './routes.ts'
import { parseNanoseconds } from './timestamps.ts'
import type { EntryReports } from './unreadable-entries.ts'
import { decodePush, type PushedLists } from './wire-lists.ts'

/** The only event that has lists. Other events (`vpn.…`) announce a change that the next lists show. */
const LISTS_EVENT = 'full_sync'
const EVENT_STREAM = /^text\/event-stream\b/i

/** Reads the lists that v1 pushes on its event stream, and the orchestrator's time. */
export class PushSource {
  readonly #requester: Requester
  readonly #dialects: DialectResolver
  readonly #reports: EntryReports

  constructor(requester: Requester, dialects: DialectResolver, reports: EntryReports) {
    this.#requester = requester
    this.#dialects = dialects
    this.#reports = reports
  }

  /** Whether lists can be pushed: the orchestrator is known to be v1, and the transport can hold a connection open. */
  get isOffered(): boolean {
    return this.#dialects.known === 'v1' && this.#requester.canStream
  }

  /**
   * Connects, and calls `onLists` with each pushed message, until the orchestrator ends the connection. A message that cannot be read is skipped. The
   * caller must abort `signal` at the end in every case, to release the connection.
   *
   * @throws the error with which connecting failed or the connection broke (see {@link isRefusal}), or the reason of the signal
   */
  async listen(signal: AbortSignal, onLists: (lists: PushedLists) => void): Promise<void> {
    const { redact, logger } = this.#requester
    const path = this.#path(ROUTES.pushes.path)
    const { headers, body, location } = await this.#requester.open({ ...ROUTES.pushes, dialect: 'v1', path, signal })
    if (!EVENT_STREAM.test(headers.get('content-type') ?? '')) {
      throw addLocation(new MalformedResponseError('the answer is not an event stream'), location)
    }
    try {
      await readEvents(body, signal, ({ name, data }) => {
        if (name !== LISTS_EVENT) return
        let lists: PushedLists
        try {
          lists = decodePush(data, redact, this.#reports.report)
        } catch (error) {
          if (!(error instanceof MalformedResponseError)) throw error
          logger.debug('skipped a pushed message that cannot be read', { message: error.message, url: location.url })
          return
        }
        // Not inside `try`: an error of the listener does not make the message unreadable.
        onLists(lists)
      })
    } catch (error) {
      if (error instanceof OrchestratorError) throw addLocation(error, location)
      if (signal.aborted && error === signal.reason) throw error
      throw addLocation(toConnectionError(location.label, error, redact), location)
    }
  }

  /** Reads the orchestrator's time in nanoseconds since the epoch, by the clock that stamps its pushes. */
  async time(options: CallOptions = {}): Promise<bigint> {
    const path = this.#path(ROUTES.version.path)
    const answer = await this.#requester.send({ ...ROUTES.version, dialect: 'v1', path, expectedStatus: 404, ...options })
    const timestamp = this.#requester.read(ROUTES.version.route, answer, (version) =>
      readField<unknown>(readObject(version), 'timestamp', (time) => time),
    )
    const time = parseNanoseconds(timestamp)
    if (time === undefined)
      throw addLocation(new MalformedResponseError('the answer has no time', { status: answer.status }), answer.location)
    return time
  }

  #path(path: string): string {
    return this.#dialects.pathFor('v1', path)
  }
}

/** Whether an error shows that this orchestrator has no event stream. Then a retry soon is useless. */
export function isRefusal(error: unknown): boolean {
  const { isAnswered, breaker } = classifyFailure(error)
  return isAnswered && breaker === 'resets'
}

/** One server-sent event. */
export interface ServerSentEvent {
  /** The field `event`; `undefined` if the server sent none. */
  readonly name: string | undefined
  readonly data: string
}

/**
 * Reads a body as server-sent events until it ends. Calls `onEvent` with each event as soon as it is complete. The body may be cut into chunks
 * anywhere, even within a character. Returns at once when the signal aborts, even if the body ignores the signal.
 *
 * @throws the signal's reason, the error of the body, or a {@link MalformedResponseError} for an event longer than 8 MiB
 */
export async function readEvents(
  body: AsyncIterable<string | Uint8Array>,
  signal: AbortSignal,
  onEvent: (event: ServerSentEvent) => void,
): Promise<void> {
  let isTooLong = false
  const parser = createParser({
    maxBufferSize: MAX_BODY_BYTES,
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
      if (typeof value !== 'string' && !ArrayBuffer.isView(value)) throw new TypeError('a chunk of the body is neither text nor bytes')
      parser.feed(typeof value === 'string' ? value : decoder.decode(value, { stream: true }))
      if (isTooLong) throw new MalformedResponseError(`an event is longer than ${MAX_BODY_BYTES} bytes`)
    }
  } finally {
    // Not awaited: a body that hangs must not keep the caller.
    void pieces.return?.().catch(() => {})
  }
}
