import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'

/** Watched at least this long once bytes came, however short the stream of the trace was. */
const LEAST_WATCH_MS = 100

export type ViewerState = 'waiting' | 'watching' | 'served' | 'refused' | 'failed'

/** Somebody with a player: asks the proxy for a stream, and really reads it. */
export class Viewer {
  state: ViewerState = 'waiting'
  bytes = 0
  /** From the request to its first bytes, or to the answer that there are none; milliseconds. */
  waitedMs = 0
  /** Why it was refused, or how it failed. */
  reason = ''
  /** Resolves when it has its first bytes, or will get none. */
  readonly answered: Promise<void>
  /** Resolves when it is gone. Never rejects. */
  readonly gone: Promise<void>
  /** Set when everybody is to be sent away: a stream that ends from then on was not cut off. */
  isOver = false
  readonly #request: http.ClientRequest
  readonly #cameAt = performance.now()
  #answer!: () => void
  #hasLeft = false

  constructor(proxyUrl: string, infohash: string) {
    this.answered = new Promise((resolve) => {
      this.#answer = resolve
    })
    this.#request = http.get(`${proxyUrl}/ace/getstream?infohash=${infohash}`, { agent: false })
    this.gone = this.#watch().catch((error: Error) => this.#settle('failed', error.message))
  }

  /** Leaves, but not before the first bytes: what is to be seen is whether they come. */
  async leave(): Promise<void> {
    await this.answered
    if (this.state === 'watching') await new Promise((resolve) => setTimeout(resolve, LEAST_WATCH_MS))
    this.#hasLeft = true
    this.#request.destroy()
  }

  async #watch(): Promise<void> {
    const [response] = (await once(this.#request, 'response')) as [IncomingMessage]
    this.#request.on('error', () => {})
    if (response.statusCode !== 200) return this.#refused(response)
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        this.bytes += chunk.length
        if (this.state === 'waiting') {
          this.state = 'watching'
          this.waitedMs = performance.now() - this.#cameAt
          this.#answer()
        }
      }
    } catch {
      // Cut off, by itself or by the proxy: told apart below.
    }
    if (this.bytes === 0) this.#settle('failed', 'not a single byte came')
    else if (this.#hasLeft || this.isOver) this.#settle('served', '')
    else this.#settle('failed', 'cut off in the midst of the stream')
  }

  async #refused(response: IncomingMessage): Promise<void> {
    let body = ''
    for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) body += chunk
    const { reason = body } = JSON.parse(body) as { reason?: string }
    const isProper = response.statusCode === 503 && Number(response.headers['retry-after']) > 0
    this.#settle(isProper ? 'refused' : 'failed', isProper ? reason : `answered ${response.statusCode}: ${reason}`)
  }

  #settle(state: ViewerState, reason: string): void {
    if (this.state === 'waiting') this.waitedMs = performance.now() - this.#cameAt
    this.state = state
    this.reason = reason
    this.#answer()
  }
}
