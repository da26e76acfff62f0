import type { Content } from '../model/content.ts'
import type { EngineLease } from '../model/lease.ts'
import type { OpenStream, StreamViewer } from '../model/playback.ts'
import type { EndResult, StreamHandle } from '../model/stream.ts'

/** The results of the operations. */
export interface OperationResults {
  acquire: EngineLease
  open: OpenStream<unknown>
  join: StreamViewer<unknown>
  start: StreamHandle
  end: EndResult
}

/** A part of a call of the host that may take long, and what is known of it when it begins. */
export type Operation =
  | { readonly kind: 'acquire' }
  | ({ readonly kind: 'open' | 'join' } & Content)
  | ({ readonly kind: 'start'; readonly streamId: string; readonly containerId: string | undefined } & Content)
  | { readonly kind: 'end'; readonly streamId: string; readonly reason: string | undefined }

/** Follows the operations of a client, for example as spans of a trace. */
export interface OperationObserver {
  /** Calls `work` once, before it returns, and returns its result: an {@link OperationResults}, or a promise of it. */
  run<T>(operation: Operation, work: () => T): T
  /** Calls `work` once, before it returns, outside of the operation and of the caller's context. */
  detach<T>(work: () => T): T
}

/** The observers of one client. Without an observer the work is called and nothing else happens. */
export class Operations {
  readonly #observers = new Set<OperationObserver>()

  /** Adds an observer. Returns a function that removes it. */
  observe(observer: OperationObserver): () => void {
    this.#observers.add(observer)
    return () => void this.#observers.delete(observer)
  }

  /** Calls `work` as an operation. What `work` does later, after an `await`, belongs to the operation too. */
  run<T>(operation: Operation, work: () => T): T {
    if (this.#observers.size === 0) return work()
    let run = work
    for (const observer of this.#observers) {
      const inner = run
      run = () => observer.run(operation, inner)
    }
    return run()
  }

  /** Calls `work` that no caller waits for, or that runs on after its caller has its answer. */
  detach<T>(work: () => T): T {
    let run = work
    for (const observer of this.#observers) {
      const inner = run
      run = () => observer.detach(inner)
    }
    return run()
  }
}

/** The operations of each client of this copy of the package. */
export const operationsByClient: WeakMap<object, Operations> = new WeakMap()
