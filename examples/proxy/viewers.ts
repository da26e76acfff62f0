import type { ServerResponse } from 'node:http'
import { PlaybackAborted, type Viewer } from './viewer.ts'

/** The viewers that are served or wait for an engine. */
export class Viewers {
  readonly #served = new Map<AbortController, Promise<void>>()
  #isClosing = false

  get size(): number {
    return this.#served.size
  }

  /** Whether new viewers are refused. */
  get isClosing(): boolean {
    return this.#isClosing
  }

  /** Refuses new viewers from now on. */
  refuseNew(): void {
    this.#isClosing = true
  }

  /** @throws {@link PlaybackAborted} if new viewers are refused */
  throwIfClosing(): void {
    if (this.#isClosing) throw new PlaybackAborted('proxy_closing')
  }

  /**
   * Serves a viewer, and counts it until `serve` settles.
   *
   * @param serve gets the viewer, whose signal aborts when it disconnects or {@link abort} is called
   * @throws the error of `serve`, or {@link PlaybackAborted} if new viewers are refused
   */
  async admit(response: ServerResponse, serve: (viewer: Viewer) => Promise<void>): Promise<void> {
    this.throwIfClosing()
    const controller = new AbortController()
    response.once('close', () => {
      // A complete response closes too. Only an incomplete one means that the viewer disconnected.
      if (!response.writableFinished) controller.abort(new PlaybackAborted('client_disconnected'))
    })
    const drop = (reason: string): void => controller.abort(new PlaybackAborted(reason))
    const served = serve({ response, signal: controller.signal, drop })
    const settled = served.catch(() => undefined)
    this.#served.set(controller, settled)
    await served.finally(() => this.#served.delete(controller))
  }

  /** Ends the playback of every viewer. */
  abort(reason: string): void {
    for (const controller of this.#served.keys()) controller.abort(new PlaybackAborted(reason))
  }

  /** Resolves when the present viewers are gone. */
  async gone(): Promise<void> {
    await Promise.all(this.#served.values())
  }
}
