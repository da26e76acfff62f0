import { createParser } from 'eventsource-parser'
import * as v from 'valibot'
import { classifyFailure, MalformedResponseError, OrchestratorError } from '../errors.ts'
import { waitUnlessAborted } from '../runtime/abort.ts'
import { LARGEST_BODY_BYTES } from '../runtime/body.ts'
import { connectionError } from '../runtime/connection-failure.ts'
import { type DialectResolver, ROUTES } from './dialects.ts'
import { addLocation } from './request-location.ts'
import type { CallOptions, Requester } from './requester.ts'
import { decodePush, type PushedLists } from './schemas.ts'
import { parseNanoseconds } from './timestamps.ts'
import type { EntryReports } from './unreadable-entries.ts'

/** The one kind of event that holds lists; of what others (`vpn.…`) tell, the next of these tells the result. */
const LISTS_EVENT = 'full_sync'
const EVENT_STREAM = /^text\/event-stream\b/i
const VersionSchema = v.object({ timestamp: v.unknown() })

/** v1's pushed lists. */
export class PushSource {
  readonly #requester: Requester
  readonly #dialects: DialectResolver
  readonly #reports: EntryReports

  constructor(requester: Requester, dialects: DialectResolver, reports: EntryReports) {
    this.#requester = requester
    this.#dialects = dialects
    this.#reports = reports
  }

  /** Whether there can be pushes: the orchestrator is known to be v1, and the transport can hold a connection open. */
  get isOffered(): boolean {
    return this.#dialects.known === 'v1' && this.#requester.canStream
  }

  /**
   * Connects, and calls `onLists` with whatever is pushed, until the orchestrator ends the connection or `signal` aborts. What cannot be
   * read is passed over. The caller aborts the signal in the end in every case: it lets go of the connection.
   *
   * @throws what connecting failed with, or what the connection broke with; see {@link isRefusal}
   */
  async listen(signal: AbortSignal, onLists: (lists: PushedLists) => void): Promise<void> {
    const { redact, logger } = this.#requester
    const path = this.#path(ROUTES.pushes.path)
    const { headers, body, location } = await this.#requester.open({ ...ROUTES.pushes, dialect: 'v1', path, signal })
    if (!EVENT_STREAM.test(headers.get('content-type') ?? '')) {
      throw addLocation(new MalformedResponseError('answered with no event stream'), location)
    }
    try {
      await readEvents(body, signal, ({ name, data }) => {
        if (name !== LISTS_EVENT) return
        let lists: PushedLists
        try {
          lists = decodePush(data, redact, this.#reports.report)
        } catch (error) {
          if (!(error instanceof MalformedResponseError)) throw error
          logger.debug('passed over a pushed message that cannot be read', { message: error.message, url: location.url })
          return
        }
        // Outside: an error of the reader's is no message that cannot be read.
        onLists(lists)
      })
    } catch (error) {
      if (error instanceof OrchestratorError) throw addLocation(error, location)
      if (signal.aborted && error === signal.reason) throw error
      throw addLocation(connectionError(location.label, error, redact), location)
    }
  }

  /** The orchestrator's time, by the clock that stamps its pushes, in nanoseconds since the epoch. */
  async time(options: CallOptions = {}): Promise<bigint> {
    const path = this.#path(ROUTES.version.path)
    const answer = await this.#requester.send({ ...ROUTES.version, dialect: 'v1', path, expectedStatus: 404, ...options })
    const { timestamp } = this.#requester.read(ROUTES.version, answer, VersionSchema)
    const time = parseNanoseconds(timestamp)
    if (time === undefined) throw addLocation(new MalformedResponseError('told no time', { status: answer.status }), answer.location)
    return time
  }

  #path(path: string): string {
    return this.#dialects.pathFor('v1', path)
  }
}

/** Whether an error is an answer which shows that this orchestrator has no event stream, so that asking again soon is pointless. */
export function isRefusal(error: unknown): boolean {
  const { isAnswered, breaker } = classifyFailure(error)
  return isAnswered && breaker === 'resets'
}

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
