import { MemoryStore } from 'acestream-orchestrator-client'
import { BoundedIdSet } from '../../src/state/bounded-id-set.ts'
import type { NamedFlaw } from './world.ts'

const later = () => new Promise(setImmediate)

/** Stores with a flaw in the way that several processes share them. */
export const FLAWS_OF_PROCESSES: readonly NamedFlaw[] = [
  [
    'each process counts only its own slots',
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
    'take() counts only the slots of its own process',
    'P2',
    () => {
      const own = new MemoryStore()
      return { take: (r) => own.take(r) }
    },
  ],
  [
    'expire() returns the leases of all processes',
    'P3',
    (_, world) => ({ expire: (now) => [...world.processes].flatMap((process) => process.expire(now)) }),
  ],
  [
    'claimEnd() knows only the ended ids of its own process',
    'P4',
    () => {
      const own = new BoundedIdSet()
      return { claimEnd: (id, r) => own.claim(id, r) }
    },
  ],
  [
    'recover() takes over the entries of living processes',
    'P5',
    (right, world) => ({
      recover: () => {
        const others = [...world.journal.values()].filter(({ writer }) => writer !== right)
        for (const other of others) other.writer = right
        return others.map(({ entry }) => entry)
      },
    }),
  ],
  ['a crash frees the slots of all processes', 'P6', (_, world) => ({ kill: () => world.forgetSlots() })],
  [
    'recover() reads the entries first and takes them over later',
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
    'an entry stays with the process that appended it first',
    'P8',
    (right, world) => ({
      append: (entry) => {
        const first = world.journal.get(entry.streamId)
        if (first === undefined) right.append(entry)
        else first.entry = entry
      },
    }),
  ],
  ['onSlotFreed() never calls its listener', 'P9', () => ({ onSlotFreed: () => () => {} })],
  [
    'onSlotFreed() cannot be unsubscribed',
    'P9',
    (right) => ({
      onSlotFreed: (listener) => {
        right.onSlotFreed(listener)
        return () => {}
      },
    }),
  ],
]
