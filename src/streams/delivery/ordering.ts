import type { HostEngine } from '../../model/stream.ts'
import { waitUnlessAborted } from '../../runtime/abort.ts'
import type { TrackedStream } from '../tracked-stream.ts'
import type { OutboxEvent } from './outbox.ts'

/**
 * Runs tasks one after the other for each key, and in parallel across keys. So a stream's end never overtakes its start, whoever
 * asks for either, and a second life of an id waits for the first to be told.
 */
export class KeyedQueue {
  readonly #tails = new Map<string, Promise<void>>()

  /** Runs `task` when everything queued for `key` before it has settled. */
  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) // never rejects
    const result = before === undefined ? task() : before.then(task)
    const settle = (): void => {
      // Only the last task may take the chain away: with another behind it there would be two chains for one key.
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    }
    const tail: Promise<void> = result.then(settle, settle)
    this.#tails.set(key, tail)
    return result
  }
}

interface EndInProgress {
  readonly outboxEvent: OutboxEvent
  readonly ended: Promise<unknown>
  /** `undefined`: not known when its end was queued. */
  readonly containerId: string | undefined
}

/** An engine, by its id where that is known, and by the address that its host reaches it by. */
export interface EngineIdentity {
  readonly containerId: string | undefined
  readonly engine: HostEngine
}

/**
 * The ends under way, by engine. A slot may be free before the orchestrator has applied the end that freed it: with the default store always,
 * with another one while the end is held up or takes longer than a second. A start that takes the slot waits for the ends that came before
 * it, so that the orchestrator, and every proxy that reads its list, never sees the engine above its limit.
 */
export class EndsInProgress {
  /** By address: an engine that a host named by its address has no other name until a list shows it. */
  readonly #leaving = new Map<string, Set<EndInProgress>>()

  /** `ended` must not reject. */
  add({ containerId, engine }: EngineIdentity, outboxEvent: OutboxEvent, ended: Promise<unknown>): void {
    const departure = { outboxEvent, ended, containerId }
    const keys = keysOf({ containerId, engine })
    for (const key of keys) this.#leaving.set(key, (this.#leaving.get(key) ?? new Set()).add(departure))
    void ended.then(() => {
      for (const key of keys) this.#remove(key, departure)
    })
  }

  /** The streams that are leaving the engine now. Later ones are not waited for, so no two wait for each other. */
  from(place: EngineIdentity): readonly EndInProgress[] {
    const found = keysOf(place).flatMap((key) => [...(this.#leaving.get(key) ?? [])])
    // Another engine may have had the address before.
    const isOther = ({ containerId }: EndInProgress): boolean =>
      containerId !== undefined && place.containerId !== undefined && containerId !== place.containerId
    return [...new Set(found)].filter((departure) => !isOther(departure))
  }

  #remove(key: string, departure: EndInProgress): void {
    const leaving = this.#leaving.get(key)
    leaving?.delete(departure)
    if (leaving?.size === 0) this.#leaving.delete(key)
  }
}

/** JSON, so that no container id is taken for an address. */
function keysOf({ containerId, engine }: EngineIdentity): string[] {
  const address = JSON.stringify([engine.host, engine.port])
  return containerId === undefined ? [address] : [address, JSON.stringify(containerId)]
}

/** Waits for the streams that leave the engine; once the start itself is stalled, no longer than its stream lives. */
export async function untilTurn(start: OutboxEvent, departed: Promise<unknown>, stream: TrackedStream): Promise<void> {
  await Promise.race([departed, start.stalled.then(() => waitUnlessAborted(departed, stream.over))]).catch(() => {})
}
