import { firstAlive } from './alternatives.ts'
import type { Content } from './content.ts'
import { HlsChannel, type HlsParts } from './hls-channel.ts'

/** Maximum number of dead contents that are remembered. */
const MAX_SUBSTITUTES = 1_000

/** The channels that somebody requested lately. */
export class HlsChannels {
  readonly #parts: HlsParts
  readonly #byContent = new Map<string, HlsChannel>()
  readonly #byToken = new Map<string, HlsChannel>()
  /** Channels that play an alternative, by the dead content that was requested. */
  readonly #substitutes = new Map<string, HlsChannel>()

  constructor(parts: HlsParts) {
    this.#parts = parts
  }

  /** Finds a channel by the token in a URL. */
  find(token: string): HlsChannel | undefined {
    return this.#byToken.get(token)
  }

  /**
   * Runs a request for the channel of the first content that is not dead. Players repeat the request every few seconds: while an
   * alternative plays for it, the dead content is not tried again.
   */
  use<T>(contents: readonly Content[], request: (channel: HlsChannel) => Promise<T>): Promise<T> {
    const [wanted] = contents
    const substitute = wanted && this.#substitutes.get(idOf(wanted))
    const isOffered = contents.some((content) => substitute !== undefined && idOf(content) === idOf(substitute.content))
    const ordered = substitute?.isOpen && isOffered ? [substitute.content, ...contents] : contents
    return firstAlive(ordered, async (content) => {
      const channel = this.#channelOf(content)
      const result = await channel.use(() => request(channel))
      if (wanted !== undefined && content !== wanted) this.#substitute(idOf(wanted), channel)
      return result
    })
  }

  #channelOf(content: Content): HlsChannel {
    const id = idOf(content)
    const existing = this.#byContent.get(id)
    if (existing !== undefined) return existing
    const channel = new HlsChannel(content, this.#parts, () => this.#forget(id, channel))
    this.#byContent.set(id, channel)
    this.#byToken.set(channel.token, channel)
    return channel
  }

  #substitute(dead: string, channel: HlsChannel): void {
    this.#substitutes.set(dead, channel)
    const [oldest] = this.#substitutes.keys()
    if (this.#substitutes.size > MAX_SUBSTITUTES && oldest !== undefined) this.#substitutes.delete(oldest)
  }

  #forget(id: string, channel: HlsChannel): void {
    if (this.#byContent.get(id) === channel) this.#byContent.delete(id)
    this.#byToken.delete(channel.token)
  }
}

function idOf({ keyType, key, parameters }: Content): string {
  return JSON.stringify([keyType, key, parameters])
}
