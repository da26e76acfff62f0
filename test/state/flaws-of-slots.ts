import type { StateStore } from 'acestream-orchestrator-client'
import type { NamedFlaw } from './world.ts'

const NO_LIMIT = Number.MAX_SAFE_INTEGER
const later = () => new Promise(setImmediate)

const loadsOf = (store: StateStore, containerId: string): number => {
  const usage = (store.usage() as ReadonlyMap<string, { leaseCount: number; streamIds: ReadonlySet<string> }>).get(containerId)
  return (usage?.leaseCount ?? 0) + (usage?.streamIds.size ?? 0)
}

/** Stores that are wrong about slots. */
export const FLAWS_OF_SLOTS: readonly NamedFlaw[] = [
  ['take prefers the last candidate', 'S1', (right) => ({ take: (r) => right.take({ ...r, candidates: [...r.candidates].reverse() }) })],
  ['take knows no limit', 'S1', (right) => ({ take: (r) => right.take({ ...r, limit: NO_LIMIT }) })],
  [
    'take looks at the first candidate alone',
    'S1',
    (right) => ({ take: (r) => right.take({ ...r, candidates: [...r.candidates].slice(0, 1) }) }),
  ],
  [
    'take reads the candidates later',
    'S2',
    (right) => ({
      take: async (r) => {
        await later()
        return right.take(r)
      },
    }),
  ],
  ['take reads all candidates', 'S2', (right) => ({ take: (r) => right.take({ ...r, candidates: [...r.candidates] }) })],
  [
    'take sums both sides',
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
    'take counts a stream that is reported twice twice',
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
    'take looks, and takes later',
    'S4',
    (right) => ({
      take: async (r) => {
        const free = [...r.candidates].find(({ containerId }) => loadsOf(right, containerId) < r.limit)
        await later()
        return free && right.take({ ...r, candidates: [free], limit: NO_LIMIT })
      },
    }),
  ],
  [
    'take keeps the lease although there is no room',
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
    'take goes by the first limit it saw',
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
    'promote is always right',
    'S7',
    (right) => ({
      promote: (leaseId, streamId) => {
        right.promote(leaseId, streamId)
        return true
      },
    }),
  ],
  [
    'promote gives the slot back and takes it again',
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
    'occupy heeds a limit of one',
    'S9',
    (right) => ({
      occupy: (containerId, streamId) => {
        if (loadsOf(right, containerId) === 0) right.occupy(containerId, streamId)
      },
    }),
  ],
  [
    'occupy leaves a stream where it is',
    'S10',
    (right) => ({
      occupy: (containerId, streamId) => {
        if (!right.streams.has(streamId)) right.occupy(containerId, streamId)
      },
    }),
  ],
  [
    'releaseLease answers again',
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
  ['releaseStream frees nothing', 'S11', (right) => ({ releaseStream: (id) => (right.streams.has(id) ? 'a' : undefined) })],
  [
    'expire answers twice',
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
  ['expire frees nothing', 'S12', (right) => ({ expire: (now) => [...right.leases.values()].filter((lease) => lease.expiresAt <= now) })],
  ['expire takes all', 'S12', (right) => ({ expire: () => right.expire(NO_LIMIT) })],
  ['usage knows nothing', 'S13', () => ({ usage: () => new Map() })],
  ['usage keeps what was given back', 'S13', (right) => ({ expire: () => [], releaseLease: (id) => right.leases.get(id)?.containerId })],
  [
    'renew drops the leases',
    'S14',
    (right) => ({
      renew: () => {
        for (const leaseId of right.leases.keys()) right.releaseLease(leaseId)
      },
    }),
  ],
  [
    'the slots of the dead stay taken',
    'S15',
    (right, world) => ({
      kill: () => {
        for (const streamId of right.streams) world.slots.occupy('a', streamId)
      },
    }),
  ],
]
