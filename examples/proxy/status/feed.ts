import type { ServerResponse } from 'node:http'

/** Options of {@link Feed}. Times are in milliseconds. */
export interface FeedOptions {
  /** Renders what the pages show: texts by name. Must not reject. */
  render: () => Promise<Readonly<Record<string, string>>>
  /** Maximum number of pages. @default 32 */
  maxPages?: number
  /** Minimum time between two updates. @default 250 */
  intervalMs?: number
  /** How often the state is read although nobody reported a change. @default 2_000 */
  pollMs?: number
  /** How long a connection is silent before a comment is sent, which keeps reverse proxies from closing it. @default 15_000 */
  heartbeatMs?: number
  /** How much a page may leave unread before it is dropped, in bytes. It then connects again. @default 1 MiB */
  maxUnreadBytes?: number
}

/** How long a browser waits before it connects again. */
const RETRY_MS = 2_000

/**
 * Sends the state to the open pages by server-sent events. Renders once for all pages, and only while there are any. A page first gets
 * everything, and then only what has changed.
 */
export class Feed {
  readonly #options: Required<FeedOptions>
  readonly #pages = new Set<ServerResponse>()
  /** Pages that got nothing yet. */
  readonly #newPages = new Set<ServerResponse>()
  #last: Readonly<Record<string, string>> = {}
  #timer: NodeJS.Timeout | undefined
  #isDue = false
  #isRendering = false
  #isClosed = false
  #lastUpdateAt = Number.NEGATIVE_INFINITY
  /** When something was last sent to every page. */
  #lastMessageAt = 0

  constructor({ render, maxPages = 32, intervalMs = 250, pollMs = 2_000, heartbeatMs = 15_000, maxUnreadBytes = 2 ** 20 }: FeedOptions) {
    this.#options = { render, maxPages, intervalMs, pollMs, heartbeatMs, maxUnreadBytes }
  }

  /** Whether no further page is accepted: there are enough, or the feed is closed. */
  get isFull(): boolean {
    return this.#isClosed || this.#pages.size >= this.#options.maxPages
  }

  get pageCount(): number {
    return this.#pages.size
  }

  /** Adds a page, until its connection closes. Sends the head of the response. */
  add(response: ServerResponse, headers: Readonly<Record<string, string>>): void {
    // A closed connection emits no further `close`.
    if (response.destroyed) return
    response.writeHead(200, { ...headers, 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' })
    response.write(`retry: ${RETRY_MS}\n\n`)
    this.#pages.add(response)
    this.#newPages.add(response)
    response.once('close', () => this.#remove(response))
    this.changed()
  }

  /** Reports that the state may have changed. Can be called as often as things happen. */
  changed(): void {
    if (this.#isDue || this.#pages.size === 0) return
    this.#isDue = true
    this.#schedule()
  }

  /** Ends all responses. */
  close(): void {
    this.#isClosed = true
    for (const page of this.#pages) page.end()
    this.#pages.clear()
    this.#newPages.clear()
    this.#stopTimer()
  }

  #schedule(): void {
    this.#stopTimer()
    if (this.#isRendering || this.#pages.size === 0) return
    const delayMs = this.#isDue ? Math.max(0, this.#lastUpdateAt + this.#options.intervalMs - performance.now()) : this.#options.pollMs
    this.#timer = setTimeout(() => void this.#update(), delayMs).unref()
  }

  async #update(): Promise<void> {
    this.#isDue = false
    this.#isRendering = true
    this.#lastUpdateAt = performance.now()
    const texts = await this.#options.render()
    this.#isRendering = false
    const changes = Object.fromEntries(Object.entries(texts).filter(([name, text]) => this.#last[name] !== text))
    this.#last = texts
    const hasChanged = Object.keys(changes).length > 0
    const isSilent = performance.now() - this.#lastMessageAt >= this.#options.heartbeatMs
    if (hasChanged || isSilent) this.#lastMessageAt = performance.now()
    for (const page of this.#pages) {
      if (this.#newPages.delete(page)) this.#send(page, message(texts))
      else if (hasChanged) this.#send(page, message(changes))
      else if (isSilent) this.#send(page, ':\n\n')
    }
    this.#schedule()
  }

  #send(page: ServerResponse, text: string): void {
    page.write(text)
    if (page.writableLength > this.#options.maxUnreadBytes) page.destroy()
  }

  #remove(page: ServerResponse): void {
    this.#pages.delete(page)
    this.#newPages.delete(page)
    if (this.#pages.size === 0) this.#pause()
  }

  /** Forgets what is due, so that the next page is updated at once. */
  #pause(): void {
    this.#stopTimer()
    this.#isDue = false
    this.#lastUpdateAt = Number.NEGATIVE_INFINITY
  }

  #stopTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}

function message(texts: Readonly<Record<string, string>>): string {
  return `event: status\ndata: ${JSON.stringify(texts)}\n\n`
}
