import type { Logger } from '../../runtime/logger.ts'
import type { Connection } from './connection.ts'
import { withoutSecrets } from './reply-error.ts'

/** What {@link SlotNews} needs. */
export interface SlotNewsParts {
  connection: Connection
  logger: () => Logger
  /** Whether a message is this process's own. */
  isOwn: (id: string) => boolean
}

/** Tells listeners that another member has given a slot back, or settled a stream. They look by themselves too, only later, so a failure here is no more than a warning. */
export class SlotNews {
  readonly #parts: SlotNewsParts
  readonly #listeners = new Set<{ readonly call: (settledStreamId?: string) => void }>()
  /** Known from the first answer of Redis on: the client may put a prefix before all keys. */
  #channel: string | undefined
  #stop: (() => void) | undefined
  #hasWarned = false
  #isClosed = false

  constructor(parts: SlotNewsParts) {
    this.#parts = parts
  }

  /** Answers what undoes it. */
  listen(listener: (settledStreamId?: string) => void): () => void {
    const entry = { call: listener }
    this.#listeners.add(entry)
    this.#begin()
    return () => {
      this.#listeners.delete(entry)
      if (this.#listeners.size === 0) this.#end()
    }
  }

  /** The channel is known. */
  use(channel: string): void {
    this.#channel = channel
    if (this.#listeners.size > 0) this.#begin()
  }

  close(): void {
    this.#isClosed = true
    this.#listeners.clear()
    this.#end()
  }

  #begin(): void {
    const { connection } = this.#parts
    const channel = this.#channel
    if (channel === undefined || this.#stop !== undefined || this.#isClosed) return
    try {
      this.#stop = connection.listen(channel, { onMessage: (message) => this.#heard(message), onFailure: (error) => this.#warn(error) })
    } catch (error) {
      this.#warn(error)
    }
  }

  #end(): void {
    this.#stop?.()
    this.#stop = undefined
    this.#hasWarned = false
  }

  /** A message is the id of the member it is from, and after a space that of a stream, if one was settled. */
  #heard(message: string): void {
    this.#hasWarned = false
    const [from = ''] = message.split(' ', 1)
    if (this.#parts.isOwn(from)) return
    const settledStreamId = message.length > from.length ? message.slice(from.length + 1) : undefined
    for (const { call } of this.#listeners) {
      try {
        call(settledStreamId)
      } catch (error) {
        this.#parts.logger().warn('A listener for freed slots threw', { error })
      }
    }
  }

  #warn(error: unknown): void {
    if (this.#hasWarned || this.#stop === undefined) return
    this.#hasWarned = true
    this.#parts.logger().warn('Slots that other proxies release are noticed late: the subscription in Redis failed', {
      error: withoutSecrets(error),
    })
  }
}
