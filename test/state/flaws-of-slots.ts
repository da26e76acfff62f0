import type { EngineUsage, StateStore } from 'acestream-orchestrator-client'
import type { NamedFlaw } from './world.ts'

const NO_LIMIT = Number.MAX_SAFE_INTEGER
const later = () => new Promise(setImmediate)

const loadOf = (store: StateStore, containerId: string): number => {
  const usage = (store.usage() as ReadonlyMap<string, { leaseCount: number; streamIds: ReadonlySet<string> }>).get(containerId)
  return (usage?.leaseCount ?? 0) + (usage?.streamIds.size ?? 0)
}

/** Stores with a flaw in slots. */
export const FLAWS_OF_SLOTS: readonly NamedFlaw[] = [
  ['take() prefers the last candidate', 'S1', (right) => ({ take: (r) => right.take({ ...r, candidates: [...r.candidates].reverse() }) })],
  ['take() ignores the limit', 'S1', (right) => ({ take: (r) => right.take({ ...r, limit: NO_LIMIT }) })],
  [
    'take() checks only the first candidate',
    'S1',
    (right) => ({ take: (r) => right.take({ ...r, candidates: [...r.candidates].slice(0, 1) }) }),
  ],
  [
    'take() reads the candidates later',
    'S2',
    (right) => ({
      take: async (r) => {
        await later()
        return right.take(r)
      },
    }),
  ],
  ['take() reads all candidates', 'S2', (right) => ({ take: (r) => right.take({ ...r, candidates: [...r.candidates] }) })],
  [
    'take() counts a stream twice that is both occupied and reported',
    'S3',
    (right) => ({
      take: (r) =>
        right.take({
          ...r,
          candidates: Array.from(r.candidates, ({ containerId, reportedStreamIds }) => ({
            containerId,
            reportedStreamIds: reportedStreamIds.map((id) => `reported ${id}`),
          })),
        }),
    }),
  ],
  [
    'take() counts a stream twice that is reported twice',
    'S3',
    (right) => ({
      take: (r) =>
        right.take({
          ...r,
          candidates: Array.from(r.candidates, ({ containerId, reportedStreamIds }) => ({
            containerId,
            reportedStreamIds: reportedStreamIds.map((id, index) => (reportedStreamIds.indexOf(id) < index ? `${id} again` : id)),
          })),
        }),
    }),
  ],
  [
    'take() checks first and takes later',
    'S4',
    (right) => ({
      take: async (r) => {
        const free = [...r.candidates].find(({ containerId }) => loadOf(right, containerId) < r.limit)
        await later()
        return free && right.take({ ...r, candidates: [free], limit: NO_LIMIT })
      },
    }),
  ],
  [
    'take() keeps the lease though all candidates are full',
    'S5',
    (right) => ({
      take: (r) => {
        const candidates = [...r.candidates]
        const answer = right.take({ ...r, candidates })
        if (answer === undefined) right.take({ ...r, candidates, limit: NO_LIMIT })
        return answer
      },
    }),
  ],
  [
    'take() always uses the limit of its first call',
    'S6',
    (right) => {
      let first: number | undefined
      return {
        take: (r) => {
          first ??= r.limit
          return right.take({ ...r, limit: first })
        },
      }
    },
  ],
  [
    'promote() always returns true',
    'S7',
    (right) => ({
      promote: (leaseId, streamId) => {
        right.promote(leaseId, streamId)
        return true
      },
    }),
  ],
  [
    'promote() releases the slot and occupies it again later',
    'S8',
    (right) => ({
      promote: async (leaseId, streamId) => {
        const containerId = right.releaseLease(leaseId)
        if (containerId === undefined) return false
        await later()
        right.occupy(containerId, streamId)
        return true
      },
    }),
  ],
  [
    'occupy() applies a limit of one',
    'S9',
    (right) => ({
      occupy: (containerId, streamId) => {
        if (loadOf(right, containerId) === 0) right.occupy(containerId, streamId)
      },
    }),
  ],
  [
    'occupy() does not move a stream',
    'S10',
    (right) => ({
      occupy: (containerId, streamId) => {
        if (!right.streams.has(streamId)) right.occupy(containerId, streamId)
      },
    }),
  ],
  [
    'releaseLease() returns the engine again for a released lease',
    'S11',
    (right) => {
      const known = new Map<string, string | undefined>()
      return {
        releaseLease: (leaseId) => {
          known.set(leaseId, right.releaseLease(leaseId) ?? known.get(leaseId))
          return known.get(leaseId)
        },
      }
    },
  ],
  ['releaseStream() frees nothing', 'S11', (right) => ({ releaseStream: (id) => (right.streams.has(id) ? 'a' : undefined) })],
  [
    'expire() returns each lease twice',
    'S12',
    (right) => {
      let last: Awaited<ReturnType<StateStore['expire']>> = []
      return {
        expire: (now) => {
          const due = right.expire(now)
          const answer = [...last, ...due]
          last = due
          return answer
        },
      }
    },
  ],
  ['expire() frees nothing', 'S12', (right) => ({ expire: (now) => [...right.leases.values()].filter((lease) => lease.expiresAt <= now) })],
  ['expire() expires all leases', 'S12', (right) => ({ expire: () => right.expire(NO_LIMIT) })],
  ['usage() is always empty', 'S13', () => ({ usage: () => new Map() })],
  [
    'usage() still counts released leases',
    'S13',
    (right) => ({ expire: () => [], releaseLease: (id) => right.leases.get(id)?.containerId }),
  ],
  [
    'renew() releases all leases',
    'S14',
    (right) => ({
      renew: () => {
        for (const leaseId of right.leases.keys()) right.releaseLease(leaseId)
      },
    }),
  ],
  ['onUsageChanged() never calls its listener', 'S16', () => ({ onUsageChanged: () => () => {} })],
  [
    'onUsageChanged() cannot be unsubscribed',
    'S16',
    (right) => ({
      onUsageChanged: (listener) => {
        right.onUsageChanged(listener)
        return () => {}
      },
    }),
  ],
  [
    'onUsageChanged() reports changes late',
    'S16',
    (right) => ({ onUsageChanged: (listener) => right.onUsageChanged((...change) => void later().then(() => listener(...change))) }),
  ],
  [
    'onUsageChanged() reports the slots before the change',
    'S16',
    (right) => {
      const before = new Map<string, EngineUsage>()
      return {
        onUsageChanged: (listener) =>
          right.onUsageChanged((id = '', usage = { leaseCount: 0, streamIds: new Set() }) => {
            listener(id, before.get(id))
            before.set(id, { leaseCount: usage.leaseCount, streamIds: new Set(usage.streamIds) })
          }),
      }
    },
  ],
  [
    'a crash does not free the slots of its process',
    'S15',
    (right, world) => ({
      kill: () => {
        for (const streamId of right.streams) world.slots.occupy('a', streamId)
      },
    }),
  ],
]
