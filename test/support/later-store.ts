import { MemoryStore, type StateStore } from 'acestream-orchestrator-client'
import type { ManualClock } from 'acestream-orchestrator-client/testing'

/** A memory store with asynchronous answers: after `wait` macrotasks, or after the promise that `wait` returns. */
export function laterStore(wait: number | (() => Promise<unknown>) = 1): StateStore & { inner: MemoryStore } {
  const inner = new MemoryStore()
  const later = async <T>(answer: () => T): Promise<T> => {
    if (typeof wait === 'function') await wait()
    else for (let i = 0; i < wait; i += 1) await new Promise(setImmediate)
    return answer()
  }
  return {
    inner,
    take: (request) => {
      const candidates = [...request.candidates]
      return later(() => inner.take({ ...request, candidates }))
    },
    promote: (leaseId, streamId) => later(() => inner.promote(leaseId, streamId)),
    occupy: (containerId, streamId) => later(() => inner.occupy(containerId, streamId)),
    releaseLease: (leaseId) => later(() => inner.releaseLease(leaseId)),
    releaseStream: (streamId) => later(() => inner.releaseStream(streamId)),
    expire: (now) => later(() => inner.expire(now)),
    usage: () => later(() => new Map(inner.usage())),
    claimEnd: (streamId, retention, life) => later(() => inner.claimEnd(streamId, retention, life)),
    unclaimEnd: (streamId) => later(() => inner.unclaimEnd(streamId)),
    endedAmong: (streamIds, retention) => later(() => inner.endedAmong(streamIds, retention)),
    forgetEnded: (retention) => later(() => inner.forgetEnded(retention)),
    append: () => later(() => inner.append()),
    settle: () => later(() => inner.settle()),
    recover: () => later(() => inner.recover()),
  }
}

/** A store that answers after `delayMs` of a manual clock, which the test sets once that clock exists. Its `usage()` is as old as the question. */
export function distantStore(delayMs: number): { store: ReturnType<typeof laterStore>; time: { clock?: ManualClock } } {
  const time: { clock?: ManualClock } = {}
  const wait = (): Promise<void> => new Promise((resolve) => time.clock?.setTimeout(resolve, delayMs))
  const store = laterStore(wait)
  store.usage = async () => {
    const usage = [...store.inner.usage()].map(
      ([id, { leaseCount, streamIds }]) => [id, { leaseCount, streamIds: new Set(streamIds) }] as const,
    )
    await wait()
    return new Map(usage)
  }
  return { store, time }
}
