import type { Transport, TransportRequest, TransportStream } from 'acestream-orchestrator-client'
import type { FakeOrchestrator, ManualClock } from 'acestream-orchestrator-client/testing'

/** The body of an event stream, in a test's hands. */
class Line implements AsyncIterable<string | Uint8Array> {
  readonly #waiting: (() => void)[] = []
  readonly #pieces: (string | Uint8Array)[] = []
  #failure: unknown
  #isOver = false

  push(piece: string | Uint8Array): void {
    this.#pieces.push(piece)
    this.#wake()
  }

  /** The connection ends, or breaks with `failure`. */
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

/** A fake as a transport, through a line that can be slow, noisy or dead; it counts what is connected. */
export class Wire implements Transport {
  readonly #fake: FakeOrchestrator
  readonly #clock: ManualClock
  /** The signals of the connections that were asked for, in order. */
  readonly connections: AbortSignal[] = []
  /** Milliseconds by which the next push comes late. */
  lateMs: () => number = () => 0
  /** What becomes of a message on its way; nothing: it is lost. */
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
    const line = new Line()
    signal.addEventListener('abort', () => line.end(), { once: true })
    const later = (act: () => void): void => {
      const lateMs = this.lateMs()
      if (lateMs === 0) act()
      else this.#clock.setTimeout(act, lateMs)
    }
    const pump = async (): Promise<void> => {
      for await (const text of answer.body) later(() => this.mangle(String(text)).forEach((piece) => void line.push(piece)))
      later(() => line.end())
    }
    pump().catch((error: unknown) => line.end(error))
    return { ...answer, body: line }
  }
}

/** How many lists were asked for: on v1 two make one refresh. */
export function listRequests(fake: FakeOrchestrator): number {
  const { 'GET /engines': engines = 0, 'GET /streams': streams = 0 } = fake.counters.requests.byRoute
  return engines + streams
}

/** How many event streams were asked for. */
export function streamRequests(fake: FakeOrchestrator): number {
  return fake.counters.requests.byRoute['GET /events/stream'] ?? 0
}
