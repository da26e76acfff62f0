import type { Retention, SlotRequest, StateStore } from 'acestream-orchestrator-client'
import type { NamedFlaw } from './world.ts'

const NO_LIMIT = Number.MAX_SAFE_INTEGER
const later = () => new Promise(setImmediate)

const short = (id: string): string => id.slice(0, 255)
const shortened = ({ candidates, leaseId, ...request }: SlotRequest): SlotRequest => ({
  ...request,
  leaseId: short(leaseId),
  candidates: Array.from(candidates, ({ containerId, reportedStreamIds }) => ({ containerId: short(containerId), reportedStreamIds })),
})

/** Stores with a flaw in ended ids, in the journal or in names. */
export const FLAWS_OF_RECORDS: readonly NamedFlaw[] = [
  ['claimEnd() grants every claim', 'E1', () => ({ claimEnd: () => true })],
  ['claimEnd() ignores the retention', 'E1', (right) => ({ claimEnd: (id, r) => right.claimEnd(id, { ...r, now: 0 }) })],
  [
    'claimEnd() checks first and claims later',
    'E2',
    (right) => ({
      claimEnd: async (id, retention) => {
        const isKnown = right.endedAmong([id], retention).size > 0
        await later()
        right.claimEnd(id, retention)
        return !isKnown
      },
    }),
  ],
  ['unclaimEnd() does nothing', 'E3', () => ({ unclaimEnd: () => {} })],
  ['unclaimEnd() deletes all ended ids', 'E3', (_, world) => ({ unclaimEnd: () => world.forgetEnds() })],
  ['endedAmong() returns all ids that it is called with', 'E4', () => ({ endedAmong: (ids) => new Map(ids.map((id) => [id, ''])) })],
  ['endedAmong() ignores the retention', 'E4', (right) => ({ endedAmong: (ids, r) => right.endedAmong(ids, { ...r, now: 0 }) })],
  [
    'forgetEnded() always returns 0',
    'E5',
    (right) => ({
      forgetEnded: (retention) => {
        right.forgetEnded(retention)
        return 0
      },
    }),
  ],
  [
    'forgetEnded() deletes all ended ids if it deletes one',
    'E6',
    (right, world) => ({
      forgetEnded: (retention) => {
        const count = right.forgetEnded(retention)
        if (count > 0) world.forgetEnds()
        return count
      },
    }),
  ],
  ['forgetEnded() ignores the maximum', 'E6', (right) => ({ forgetEnded: (r) => right.forgetEnded({ ...r, max: NO_LIMIT }) })],
  [
    'claimEnd() deletes all ended ids when the maximum is reached',
    'E7',
    (right, world) => ({
      claimEnd: (id, retention) => {
        if (world.ended.size >= retention.max) world.forgetEnds()
        return right.claimEnd(id, retention)
      },
    }),
  ],
  [
    'an id that is claimed again keeps its old age',
    'E8',
    (right) => {
      const first = new Map<string, Retention>()
      return {
        claimEnd: (id, retention) => {
          const known = first.get(id)
          if (known === undefined) first.set(id, retention)
          return right.claimEnd(id, { ...retention, now: known === undefined ? retention.now : 0 })
        },
      }
    },
  ],
  ['claimEnd() ignores the life', 'E10', (right) => ({ claimEnd: (id, retention) => right.claimEnd(id, retention) })],
  [
    'claimEnd() treats every life as a new one',
    'E10',
    (right) => ({
      claimEnd: (id, retention, life = '') => {
        if (life !== '') right.unclaimEnd(id)
        return right.claimEnd(id, retention, life)
      },
    }),
  ],
  [
    'the life of a deleted ended id is kept',
    'E11',
    (right) => {
      const lives = new Map<string, string>()
      return {
        claimEnd: (id, retention, life = '') => {
          if (life !== '') lives.set(id, life)
          return right.claimEnd(id, retention, life)
        },
        endedAmong: (ids, retention) => new Map([...right.endedAmong(ids, retention).keys()].map((id) => [id, lives.get(id) ?? ''])),
      }
    },
  ],
  [
    'a crash deletes the lives of the ended ids',
    'E12',
    (right, world) => ({
      kill: () => {
        const known = [...world.ended]
        world.forgetEnds()
        for (const [id, { endedAt }] of known) right.claimEnd(id, { now: endedAt, retentionMs: NO_LIMIT, max: NO_LIMIT })
      },
    }),
  ],
  ['recover() drops the life of each entry', 'J3', (right) => ({ recover: () => right.recover().map(({ life: _, ...entry }) => entry) })],
  ['a crash deletes the ended ids', 'E9', (_, world) => ({ kill: () => world.forgetEnds() })],
  [
    'recover() also returns entries of living processes',
    'J1',
    (right, world) => ({ recover: () => [...right.recover(), ...Array.from(world.journal.values(), ({ entry }) => entry)] }),
  ],
  [
    'settle() throws for an unknown id',
    'J2',
    (right, world) => ({
      settle: (id) => {
        if (!world.journal.has(id)) throw new Error('unknown')
        right.settle(id)
      },
    }),
  ],
  ['recover() returns the newest entry first', 'J3', (right) => ({ recover: () => right.recover().toReversed() })],
  [
    'recover() drops the reason of each entry',
    'J3',
    (right) => ({ recover: () => right.recover().map(({ reason: _, ...entry }) => entry) }),
  ],
  ['settle() does nothing', 'J3', () => ({ settle: () => {} })],
  [
    'append() keeps the first entry of an id',
    'J4',
    (right, world) => ({
      append: (entry) => {
        if (!world.journal.has(entry.streamId)) right.append(entry)
      },
    }),
  ],
  [
    'recover() returns the same entries twice',
    'J5',
    (right) => {
      let last: Awaited<ReturnType<StateStore['recover']>> = []
      return {
        recover: () => {
          const found = right.recover()
          if (found.length > 0) last = found
          return last
        },
      }
    },
  ],
  [
    'recover() deletes the entries that it returns',
    'J6',
    (right) => ({
      recover: () => {
        const entries = right.recover()
        for (const { streamId } of entries) right.settle(streamId)
        return entries
      },
    }),
  ],
  [
    'append() deletes the entries of dead processes',
    'J7',
    (right, world) => ({
      append: (entry) => {
        for (const [streamId, { writer }] of world.journal) if (!world.processes.has(writer)) world.journal.delete(streamId)
        right.append(entry)
      },
    }),
  ],
  [
    'recover() returns the entries from the start of its process',
    'J8',
    (right, world) => {
      let found = [...world.journal.values()].filter(({ writer }) => !world.processes.has(writer)).map(({ entry }) => entry)
      return {
        recover: () => {
          right.recover()
          const answer = found
          found = []
          return answer
        },
      }
    },
  ],
  [
    'ids of slots are cut off at 255 characters',
    'N1',
    (right) => ({ take: (r) => right.take(shortened(r)), occupy: (engine, id) => right.occupy(short(engine), short(id)) }),
  ],
  ['ended ids are cut off at 255 characters', 'N2', (right) => ({ claimEnd: (id, r) => right.claimEnd(short(id), r) })],
  ['ended ids ignore upper and lower case', 'N2', (right) => ({ claimEnd: (id, r) => right.claimEnd(id.toLowerCase(), r) })],
  [
    'ids in the journal lose their outer spaces',
    'N3',
    (right) => ({ append: (entry) => right.append({ ...entry, streamId: entry.streamId.trim() }) }),
  ],
]
