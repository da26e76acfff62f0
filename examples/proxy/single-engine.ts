import type { EndResult, EngineAddress } from 'acestream-orchestrator-client'
import { unlessAborted } from './abort.ts'
import type { EngineSource, JoinedViewer, JoinOptions, SharedStream } from './engine-source.ts'

/** The stream of a content, from the request for its session until it is over. */
interface Entry<T> {
  readonly opening: Promise<SharedStream<T>>
  /** Lets the next viewer open another stream. */
  readonly forget: () => void
  /** Aborts the opening when all viewers have left. */
  readonly abandoned: AbortController
  viewers: number
  /** The stream, once a viewer has it. */
  stream: SharedStream<T> | undefined
  lingering: NodeJS.Timeout | undefined
}

/** Creates a source for a proxy without an orchestrator: one engine without a limit, no events. Viewers of a content share a stream. */
export function singleEngine(engine: EngineAddress): EngineSource {
  const entries = new Map<string, Entry<unknown>>()
  const live = new Set<SharedStream<unknown>>()

  async function open<T>(options: JoinOptions<T>, signal: AbortSignal, forget: () => void): Promise<SharedStream<T>> {
    const { session, playback } = await options.open(engine, { signal, attempt: 1 })
    const over = new AbortController()
    const end = async (cause?: unknown): Promise<EndResult> => {
      if (!live.delete(stream)) return { outcome: 'duplicate', attempts: 0 }
      forget()
      over.abort(cause)
      await options.close?.(playback)
      return { outcome: 'not-announced', attempts: 0 }
    }
    const id = `${options.key}|${session.playbackSessionId}`
    const stream: SharedStream<T> = { id, playback, lost: over.signal, end: () => end(), fail: end }
    live.add(stream)
    return stream
  }

  function entryOf<T>(id: string, options: JoinOptions<T>): Entry<T> {
    // The same content and variant always has the same kind of playback.
    const existing = entries.get(id) as Entry<T> | undefined
    if (existing !== undefined) return existing
    // Forget a stream as soon as it is over, so that the next viewer opens another one.
    const forget = (): void => {
      if (entries.get(id) === entry) entries.delete(id)
    }
    const abandoned = new AbortController()
    const opening = open(options, abandoned.signal, forget)
    const entry: Entry<T> = { opening, forget, abandoned, viewers: 0, stream: undefined, lingering: undefined }
    entries.set(id, entry)
    opening.catch(forget)
    return entry
  }

  /** The last viewer leaves. */
  async function leave<T>(entry: Entry<T>, lingerMs: number): Promise<void> {
    const { stream } = entry
    if (stream === undefined) {
      entry.forget()
      entry.abandoned.abort()
      // It may be open already, or open in spite of the abort.
      entry.opening.then(
        (opened) => void opened.end(),
        () => undefined,
      )
    } else if (lingerMs > 0 && !stream.lost.aborted) {
      entry.lingering = setTimeout(() => void stream.end(), lingerMs).unref()
    } else {
      await stream.end()
    }
  }

  return {
    async joinStream<T>(options: JoinOptions<T>): Promise<JoinedViewer<T>> {
      const { keyType, key, variant, lingerMs = 5_000, signal } = options
      signal?.throwIfAborted()
      const id = JSON.stringify([keyType, key, variant])
      const entry = entryOf(id, options)
      clearTimeout(entry.lingering)
      entry.viewers++
      let hasLeft = false
      const leaveOnce = async (): Promise<void> => {
        if (hasLeft) return
        hasLeft = true
        if (--entry.viewers === 0) await leave(entry, lingerMs)
      }
      try {
        const stream = await unlessAborted(entry.opening, signal)
        const isFirst = entry.stream === undefined
        entry.stream = stream
        return { stream, isFirst, leave: leaveOnce }
      } catch (error) {
        await leaveOnce()
        throw error
      }
    },
    metrics: () => ({ streams: { live: live.size } }),
    async close() {
      await Promise.all(Array.from(live, (stream) => stream.end()))
      return { delivered: 0, undelivered: [] }
    },
  }
}
