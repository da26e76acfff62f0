import { MemoryStore } from 'acestream-orchestrator-client'
import { BoundedIdSet } from '../../src/state/bounded-id-set.ts'
import type { NamedFlaw } from './world.ts'

const later = () => new Promise(setImmediate)

/** Stores that are wrong about other processes. */
export const FLAWS_OF_PROCESSES: readonly NamedFlaw[] = [
  [
    'each process counts for itself',
    'P1',
    () => {
      const own = new MemoryStore()
      return {
        take: (r) => own.take(r),
        occupy: (a, x) => own.occupy(a, x),
        promote: (l, x) => own.promote(l, x),
        usage: () => own.usage(),
      }
    },
  ],
  [
    'each process takes for itself',
    'P2',
    () => {
      const own = new MemoryStore()
      return { take: (r) => own.take(r) }
    },
  ],
  [
    "expire answers everybody's leases",
    'P3',
    (_, world) => ({ expire: (now) => [...world.processes].flatMap((process) => process.expire(now)) }),
  ],
  [
    'each process remembers ends for itself',
    'P4',
    () => {
      const own = new BoundedIdSet()
      return { claimEnd: (id, r) => own.claim(id, r) }
    },
  ],
  [
    'recover takes from the living',
    'P5',
    (right, world) => ({
      recover: () => {
        const others = [...world.journal.values()].filter(({ writer }) => writer !== right)
        for (const other of others) other.writer = right
        return others.map(({ entry }) => entry)
      },
    }),
  ],
  ["a crash frees everybody's slots", 'P6', (_, world) => ({ kill: () => world.forgetSlots() })],
  [
    'recover looks, and takes over later',
    'P7',
    (right, world) => ({
      recover: async () => {
        const found = [...world.journal.values()].filter(({ writer }) => !world.processes.has(writer))
        await later()
        right.recover()
        return found.map(({ entry }) => entry)
      },
    }),
  ],
  [
    'an entry stays with whoever wrote it first',
    'P8',
    (right, world) => ({
      append: (entry) => {
        const first = world.journal.get(entry.streamId)
        if (first === undefined) right.append(entry)
        else first.entry = entry
      },
    }),
  ],
  ['onSlotFreed never tells', 'P9', () => ({ onSlotFreed: () => () => {} })],
  [
    'onSlotFreed cannot be undone',
    'P9',
    (right) => ({
      onSlotFreed: (listener) => {
        right.onSlotFreed(listener)
        return () => {}
      },
    }),
  ],
]
