import type { MaybePromise } from '../runtime/maybe-promise.ts'

/** A slot wanted on one engine. */
export interface SlotRequest {
  readonly leaseId: string
  readonly containerId: string
  /** Slots this engine has in all. */
  readonly limit: number
  /** Milliseconds since the epoch; the lease is given back then unless it became a stream. */
  readonly expiresAt: number
  /** Ids of the streams live on the engine as the orchestrator reports them, less those ended here. */
  readonly reportedStreamIds: readonly string[]
}

/** A lease without a stream yet. */
export interface LeaseRecord {
  readonly leaseId: string
  readonly containerId: string
  readonly expiresAt: number
}

/** What is taken on one engine. */
export interface EngineUsage {
  readonly leaseCount: number
  readonly streamIds: ReadonlySet<string>
}

/** How long, and how many, ended stream ids are remembered. */
export interface Retention {
  readonly now: number
  readonly retentionMs: number
  readonly max: number
}

/**
 * What the client remembers: slots and ended ids. The default keeps it in this process. Another implementation must keep each
 * method atomic: looking and taking are one step, and an end is claimed once, however many processes ask.
 *
 * A slot is held by a lease, which expires, or by a stream, which does not.
 */
export interface StateStore {
  /**
   * Takes a slot if there is room: the union of `reportedStreamIds` and the engine's live stream ids, plus its leases, stays
   * below `limit`. A union of ids, since a stream seen from both sides counts once.
   */
  take(request: SlotRequest): MaybePromise<boolean>
  /** Hands a lease's slot to a stream. `false`: there is no such lease (any more); nothing was changed. */
  promote(leaseId: string, streamId: string): MaybePromise<boolean>
  /** Counts a stream that runs whether or not there is room. */
  occupy(containerId: string, streamId: string): MaybePromise<void>
  /** Gives a lease's slot back. Answers the engine's id, or `undefined` where there is no such lease. */
  releaseLease(leaseId: string): MaybePromise<string | undefined>
  /** Gives a stream's slot back. Answers the engine's id, or `undefined` where the stream has no slot. */
  releaseStream(streamId: string): MaybePromise<string | undefined>
  /** Takes out and answers the leases whose time is up at `now`. */
  expire(now: number): MaybePromise<readonly LeaseRecord[]>
  /** What is taken, by engine; engines with nothing taken may be absent. Read at once, not kept. */
  usage(): MaybePromise<ReadonlyMap<string, EngineUsage>>
  /** Claims the end of a stream: `true` for the first claim within the retention, `false` for every further one. */
  claimEnd(streamId: string, retention: Retention): MaybePromise<boolean>
  /** Forgets that a stream was ended, since it starts again or its end was not delivered. */
  unclaimEnd(streamId: string): MaybePromise<void>
  /** Those of these ids whose end is claimed, within the retention. */
  endedAmong(streamIds: readonly string[], retention: Retention): MaybePromise<readonly string[]>
  /** Forgets ended ids beyond the retention, oldest first. Answers how many. */
  forgetEnded(retention: Retention): MaybePromise<number>
}
