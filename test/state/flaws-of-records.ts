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

/** Stores that are wrong about ends, the journal or names. */
export const FLAWS_OF_RECORDS: readonly NamedFlaw[] = [
  ['claimEnd is always the first', 'E1', () => ({ claimEnd: () => true })],
  ['claimEnd knows no retention', 'E1', (right) => ({ claimEnd: (id, r) => right.claimEnd(id, { ...r, now: 0 }) })],
  [
    'claimEnd looks, and claims later',
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
  ['unclaimEnd forgets nothing', 'E3', () => ({ unclaimEnd: () => {} })],
  ['unclaimEnd forgets all', 'E3', (_, world) => ({ unclaimEnd: () => world.forgetEnds() })],
  ['endedAmong answers all it is asked for', 'E4', () => ({ endedAmong: (ids) => new Map(ids.map((id) => [id, ''])) })],
  ['endedAmong knows no retention', 'E4', (right) => ({ endedAmong: (ids, r) => right.endedAmong(ids, { ...r, now: 0 }) })],
  [
    'forgetEnded does not count',
    'E5',
    (right) => ({
      forgetEnded: (retention) => {
        right.forgetEnded(retention)
        return 0
      },
    }),
  ],
  [
    'forgetEnded forgets all',
    'E6',
    (right, world) => ({
      forgetEnded: (retention) => {
        const count = right.forgetEnded(retention)
        if (count > 0) world.forgetEnds()
        return count
      },
    }),
  ],
  ['forgetEnded knows no number', 'E6', (right) => ({ forgetEnded: (r) => right.forgetEnded({ ...r, max: NO_LIMIT }) })],
  [
    'claimEnd forgets all when it is full',
    'E7',
    (right, world) => ({
      claimEnd: (id, retention) => {
        if (world.ended.size >= retention.max) world.forgetEnds()
        return right.claimEnd(id, retention)
      },
    }),
  ],
  [
    'an end claimed anew keeps its age',
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
  ['claimEnd knows no lives', 'E10', (right) => ({ claimEnd: (id, retention) => right.claimEnd(id, retention) })],
  [
    'claimEnd takes every life for another',
    'E10',
    (right) => ({
      claimEnd: (id, retention, life = '') => {
        if (life !== '') right.unclaimEnd(id)
        return right.claimEnd(id, retention, life)
      },
    }),
  ],
  [
    'lives of forgotten ids stay',
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
    'lives die with the process',
    'E12',
    (right, world) => ({
      kill: () => {
        const known = [...world.ended]
        world.forgetEnds()
        for (const [id, { endedAt }] of known) right.claimEnd(id, { now: endedAt, retentionMs: NO_LIMIT, max: NO_LIMIT })
      },
    }),
  ],
  ['recover leaves out lives', 'J3', (right) => ({ recover: () => right.recover().map(({ life: _, ...entry }) => entry) })],
  ['ended ids die with the process', 'E9', (_, world) => ({ kill: () => world.forgetEnds() })],
  [
    'recover answers what lives',
    'J1',
    (right, world) => ({ recover: () => [...right.recover(), ...Array.from(world.journal.values(), ({ entry }) => entry)] }),
  ],
  [
    'settle of an unknown id is an error',
    'J2',
    (right, world) => ({
      settle: (id) => {
        if (!world.journal.has(id)) throw new Error('unknown')
        right.settle(id)
      },
    }),
  ],
  ['recover answers the newest first', 'J3', (right) => ({ recover: () => right.recover().toReversed() })],
  ['recover leaves out reasons', 'J3', (right) => ({ recover: () => right.recover().map(({ reason: _, ...entry }) => entry) })],
  ['settle does nothing', 'J3', () => ({ settle: () => {} })],
  [
    'append keeps the first',
    'J4',
    (right, world) => ({
      append: (entry) => {
        if (!world.journal.has(entry.streamId)) right.append(entry)
      },
    }),
  ],
  [
    'recover answers twice',
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
    'recover strikes out what it answers',
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
    'append forgets the entries of the dead',
    'J7',
    (right, world) => ({
      append: (entry) => {
        for (const [streamId, { writer }] of world.journal) if (!world.processes.has(writer)) world.journal.delete(streamId)
        right.append(entry)
      },
    }),
  ],
  [
    'recover answers what it found at the beginning',
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
    'ids are cut off at 255 characters: slots',
    'N1',
    (right) => ({ take: (r) => right.take(shortened(r)), occupy: (engine, id) => right.occupy(short(engine), short(id)) }),
  ],
  ['ids are cut off at 255 characters: ends', 'N2', (right) => ({ claimEnd: (id, r) => right.claimEnd(short(id), r) })],
  ['ids know no case', 'N2', (right) => ({ claimEnd: (id, r) => right.claimEnd(id.toLowerCase(), r) })],
  ['ids are trimmed', 'N3', (right) => ({ append: (entry) => right.append({ ...entry, streamId: entry.streamId.trim() }) })],
]
