import { StoreError } from '../errors.ts'
import { ignoreRejection, isPromiseLike, type MaybePromise, toPromise } from '../runtime/maybe-promise.ts'
import type { EngineUsage, JournalEntry, LeaseRecord, Retention, SlotRequest, StateStore, StoreUser, UsageListener } from './store.ts'

type Check<T> = (answer: unknown) => answer is T

const isId: Check<string> = (answer) => typeof answer === 'string'
const isMaybeId: Check<string | undefined> = (answer) => answer === undefined || isId(answer)
const isBoolean: Check<boolean> = (answer) => typeof answer === 'boolean'
const isCount: Check<number> = (answer): answer is number => typeof answer === 'number' && answer >= 0
const isObject: Check<Record<string, unknown>> = (answer): answer is Record<string, unknown> =>
  typeof answer === 'object' && answer !== null
const isLives: Check<ReadonlyMap<string, string>> = (answer): answer is ReadonlyMap<string, string> =>
  answer instanceof Map && [...answer].every(([streamId, life]) => isId(streamId) && typeof life === 'string')
const isLeases: Check<readonly LeaseRecord[]> = (answer): answer is readonly LeaseRecord[] =>
  Array.isArray(answer) && answer.every((lease) => isObject(lease) && isId(lease['leaseId']) && isId(lease['containerId']))
const isEntries: Check<readonly JournalEntry[]> = (answer): answer is readonly JournalEntry[] =>
  Array.isArray(answer) && answer.every((entry) => isObject(entry) && isId(entry['streamId']))
const isEngineUsage: Check<EngineUsage> = (answer): answer is EngineUsage =>
  isObject(answer) && isCount(answer['leaseCount']) && answer['streamIds'] instanceof Set
const isUsage: Check<ReadonlyMap<string, EngineUsage>> = (answer): answer is ReadonlyMap<string, EngineUsage> => {
  if (!(answer instanceof Map)) return false
  for (const usage of answer.values()) if (!isEngineUsage(usage)) return false
  return true
}

/**
 * Checks the answers of a store that the host wrote. If an answer has a wrong type, the method throws, or rejects with, a
 * {@link StoreError} of the reason `corrupt`. Errors of the store are passed on.
 */
export class GuardedStore implements StateStore {
  readonly attach?: (user: StoreUser) => void
  readonly renewIntervalMs?: number
  readonly check?: () => MaybePromise<void>
  readonly renew?: () => MaybePromise<void>
  readonly onSlotFreed?: (listener: (settledStreamId?: string) => void) => () => void
  readonly leaveLine?: (clientId?: string) => void
  readonly claimEndWith?: (entry: JournalEntry, retention: Retention, life: string) => MaybePromise<boolean>
  readonly onUsageChanged?: (listener: UsageListener) => () => void
  readonly #store: StateStore

  constructor(store: StateStore) {
    this.#store = store
    const { renewIntervalMs } = store
    if (typeof renewIntervalMs === 'number' && renewIntervalMs >= 0) this.renewIntervalMs = renewIntervalMs
    if (store.attach !== undefined) this.attach = (user) => ignoreRejection(store.attach?.(user))
    if (store.check !== undefined) this.check = () => withoutAnswer(store.check?.())
    if (store.renew !== undefined) this.renew = () => withoutAnswer(store.renew?.())
    if (store.onSlotFreed !== undefined) this.onSlotFreed = (listener) => this.#listen(listener)
    if (store.claimEndWith !== undefined) {
      this.claimEndWith = (entry, retention, life) => checked('claimEndWith', store.claimEndWith?.(entry, retention, life), isBoolean)
    }
    if (store.leaveLine !== undefined) this.leaveLine = (clientId) => this.#leaveLine(clientId)
    if (reportsUsage(store)) this.onUsageChanged = (listener) => this.#listenToUsage(listener)
  }

  take(request: SlotRequest): MaybePromise<string | undefined> {
    return checked('take', this.#store.take(request), isMaybeId)
  }

  promote(leaseId: string, streamId: string): MaybePromise<boolean> {
    return checked('promote', this.#store.promote(leaseId, streamId), isBoolean)
  }

  occupy(containerId: string, streamId: string): MaybePromise<void> {
    return withoutAnswer(this.#store.occupy(containerId, streamId))
  }

  releaseLease(leaseId: string): MaybePromise<string | undefined> {
    return checked('releaseLease', this.#store.releaseLease(leaseId), isMaybeId)
  }

  releaseStream(streamId: string): MaybePromise<string | undefined> {
    return checked('releaseStream', this.#store.releaseStream(streamId), isMaybeId)
  }

  expire(now: number): MaybePromise<readonly LeaseRecord[]> {
    return checked('expire', this.#store.expire(now), isLeases)
  }

  usage(): MaybePromise<ReadonlyMap<string, EngineUsage>> {
    return checked('usage', this.#store.usage(), isUsage)
  }

  claimEnd(streamId: string, retention: Retention, life?: string): MaybePromise<boolean> {
    return checked('claimEnd', this.#store.claimEnd(streamId, retention, life), isBoolean)
  }

  unclaimEnd(streamId: string): MaybePromise<void> {
    return withoutAnswer(this.#store.unclaimEnd(streamId))
  }

  endedAmong(streamIds: readonly string[], retention: Retention): MaybePromise<ReadonlyMap<string, string>> {
    return checked('endedAmong', this.#store.endedAmong(streamIds, retention), isLives)
  }

  forgetEnded(retention: Retention): MaybePromise<number> {
    return checked('forgetEnded', this.#store.forgetEnded(retention), isCount)
  }

  append(entry: JournalEntry): MaybePromise<void> {
    return withoutAnswer(this.#store.append(entry))
  }

  settle(streamId: string, life?: string): MaybePromise<void> {
    return withoutAnswer(this.#store.settle(streamId, life))
  }

  recover(): MaybePromise<readonly JournalEntry[]> {
    return checked('recover', this.#store.recover(), isEntries)
  }

  #leaveLine(clientId: string | undefined): void {
    try {
      ignoreRejection(this.#store.leaveLine?.(clientId))
    } catch {
      // The store offers a slot that no caller takes. Its offers end after a time.
    }
  }

  #listen(listener: (settledStreamId?: string) => void): () => void {
    return toStop(this.#store.onSlotFreed?.((settled: unknown) => listener(isId(settled) ? settled : undefined)))
  }

  /**
   * If a change cannot be read, the client reads `usage()` again. Its check then throws.
   *
   * @throws `TypeError` if the store returns no function: perhaps it has not added the listener
   */
  #listenToUsage(listener: UsageListener): () => void {
    const onChange = (containerId: unknown, usage: unknown): void => {
      if (!isId(containerId)) listener()
      else if (usage === undefined || isEngineUsage(usage)) listener(containerId, usage)
      else listener()
    }
    const stop: unknown = this.#store.onUsageChanged?.(onChange)
    if (typeof stop !== 'function') {
      ignoreRejection(stop)
      throw new TypeError('onUsageChanged() returned no function')
    }
    return toStop(stop)
  }
}

/** Whether a store reports the changes of its slots. A subclass that replaces `usage` alone does not: it may count slots that its base class does not have. */
function reportsUsage(store: StateStore): boolean {
  return typeof store.onUsageChanged === 'function' && depthOf('onUsageChanged', store) <= depthOf('usage', store)
}

/** How many prototypes are between a store and the object that has this method. */
function depthOf(method: keyof StateStore, store: object | null): number {
  return store === null || Object.hasOwn(store, method) ? 0 : 1 + depthOf(method, Object.getPrototypeOf(store))
}

/** The function that removes a listener, from the answer of the store that added it. */
function toStop(answer: unknown): () => void {
  ignoreRejection(answer)
  return () => {
    try {
      if (typeof answer === 'function') ignoreRejection(answer())
    } catch {
      // The client is closing. It ignores calls of the listener from now on.
    }
  }
}

function checked<T>(method: string, answer: unknown, isValid: Check<T>): MaybePromise<T> {
  const check = (value: unknown): T => {
    if (isValid(value)) return value
    throw new StoreError(`The store returned a wrong type from ${method}(): ${typeof value}. See the documentation of StateStore`, {
      reason: 'corrupt',
    })
  }
  return isPromiseLike(answer) ? toPromise(answer).then(check) : check(answer)
}

/** Drops the answer of a method that should return nothing. */
function withoutAnswer(answer: unknown): MaybePromise<void> {
  if (isPromiseLike(answer)) return toPromise(answer).then(() => {})
}
