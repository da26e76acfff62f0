import type { KeyType } from '../model/stream.ts'
import type { PlatformAbortSignal } from '../runtime/platform.ts'

/** Options of every call that may send a request. */
export interface RequestOptions {
  /** Ends the wait of this caller only. The call rejects with the signal's reason. @default none */
  signal?: PlatformAbortSignal | undefined
}

/** Options of `OrchestratorClient.acquireEngine`. */
export interface AcquireOptions extends RequestOptions {
  /** How long to wait for an engine, 0 or more milliseconds. 0: fail at once. @default 30_000 */
  waitMs?: number | undefined
  /** Whether to request a new engine if all are full. @default true */
  provision?: boolean | undefined
  /** Container ids of engines that this caller must not get, for example one that just failed. @default none */
  exclude?: Iterable<string> | undefined
  /**
   * The content that will be played, as in the start of its stream. Engines on which a known stream has this content, or on which it failed
   * lately, come after other healthy engines. A preference: no caller waits because of it. With `rankEngines`, your order decides alone.
   *
   * Known are the streams of this client, and streams of other proxies whose key the engine list shows: on v1 all, on the other generations
   * those with an id that begins with the key and a `|`, which is the default of `streamId`.
   *
   * @default none
   */
  content?: { keyType: KeyType; key: string } | undefined
}

/** Options of `OrchestratorClient.listEngines`. */
export interface ListEnginesOptions extends RequestOptions {
  /**
   * Whether to request the list now and to return no older one. Concurrent calls share a request: while one is in flight, all of them wait
   * for one more.
   *
   * @default false
   */
  fresh?: boolean | undefined
}

/** Options of `OrchestratorClient.provisionEngine`. */
export interface ProvisionEngineOptions extends RequestOptions {
  /** Labels of the new container. @default none */
  labels?: Record<string, string> | undefined
  /** Environment variables of the new container. @default none */
  env?: Record<string, string> | undefined
}

/** Options of `OrchestratorClient.close`. */
export interface CloseOptions {
  /** How long to wait until all events are delivered, 0 or more milliseconds. The value of the first call counts. @default 10_000 */
  timeoutMs?: number | undefined
}
