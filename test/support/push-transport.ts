import type { Transport, TransportRequest, TransportStream } from 'acestream-orchestrator-client'
import type { FakeOrchestrator, ManualClock } from 'acestream-orchestrator-client/testing'

/** The body of an event stream. It yields the pieces that are pushed, until it is ended. */
class PushedBody implements AsyncIterable<string | Uint8Array> {
  readonly #waiting: (() => void)[] = []
  readonly #pieces: (string | Uint8Array)[] = []
  #failure: unknown
  #isOver = false

  push(piece: string | Uint8Array): void {
    this.#pieces.push(piece)
    this.#wake()
  }

  /** Ends the body, or breaks it with `failure`. */
  end(failure?: unknown): void {
    this.#failure = failure
    this.#isOver = true
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string | Uint8Array> {
    for (;;) {
      const piece = this.#pieces.shift()
      if (piece !== undefined) yield piece
      else if (this.#isOver && this.#failure !== undefined) throw this.#failure
      else if (this.#isOver) return
      else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }
}

/** A transport to a fake orchestrator. It can delay, change or drop pushed messages, and it counts the open event streams. */
export class PushTransport implements Transport {
  readonly #fake: FakeOrchestrator
  readonly #clock: ManualClock
  /** The abort signals of all event streams requested so far, in order. */
  readonly connections: AbortSignal[] = []
  /** The delay of the next pushed message in milliseconds. */
  lateMs: () => number = () => 0
  /** Returns the pieces that arrive in place of a pushed message; none if the message is lost. */
  mangle: (text: string) => readonly (string | Uint8Array)[] = (text) => [text]

  constructor(fake: FakeOrchestrator, clock: ManualClock) {
    this.#fake = fake
    this.#clock = clock
  }

  get openCount(): number {
    return this.connections.filter((signal) => !signal.aborted).length
  }

  request(request: TransportRequest) {
    return this.#fake.request(request)
  }

  async stream(request: TransportRequest): Promise<TransportStream> {
    const { signal } = request
    if (signal === undefined) throw new Error('expected a signal')
    this.connections.push(signal)
    const answer = await this.#fake.stream(request)
    const body = new PushedBody()
    signal.addEventListener('abort', () => body.end(), { once: true })
    const later = (act: () => void): void => {
      const lateMs = this.lateMs()
      if (lateMs === 0) act()
      else this.#clock.setTimeout(act, lateMs)
    }
    const pump = async (): Promise<void> => {
      for await (const text of answer.body) later(() => this.mangle(String(text)).forEach((piece) => void body.push(piece)))
      later(() => body.end())
    }
    pump().catch((error: unknown) => body.end(error))
    return { ...answer, body }
  }
}

/** How many lists were requested. On v1 one refresh requests two lists. */
export function listRequests(fake: FakeOrchestrator): number {
  const { 'GET /engines': engines = 0, 'GET /streams': streams = 0 } = fake.counters.requests.byRoute
  return engines + streams
}

/** How many event streams were requested. */
export function streamRequests(fake: FakeOrchestrator): number {
  return fake.counters.requests.byRoute['GET /events/stream'] ?? 0
}
