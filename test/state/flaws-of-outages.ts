import type { NamedFlaw } from './world.ts'

function fromSecondCallOn(act: () => void): () => void {
  let calls = 0
  return () => {
    calls += 1
    if (calls > 1) act()
  }
}

/** Stores with a flaw in outages, in renewals or in attach(). */
export const FLAWS_OF_OUTAGES: readonly NamedFlaw[] = [
  [
    'an outage releases every lease',
    'O1',
    (right) => ({
      outage: () => {
        for (const leaseId of right.leases.keys()) right.releaseLease(leaseId)
      },
    }),
  ],
  [
    'recover() returns entries of its own process after an outage',
    'O1',
    (right, world) => {
      let hadOutage = false
      const own = () => [...world.journal.values()].filter(({ writer }) => writer === right).map(({ entry }) => entry)
      return {
        outage: () => {
          hadOutage = true
        },
        recover: () => [...right.recover(), ...(hadOutage ? own() : [])],
      }
    },
  ],
  [
    'the first process after an outage frees the slots of the other processes',
    'O2',
    (right, world) => {
      let hadOutage = false
      return {
        outage: () => {
          hadOutage = true
        },
        take: (request) => {
          const others = hadOutage ? [...world.processes].filter((process) => process !== right) : []
          hadOutage = false
          for (const other of others) for (const streamId of other.streams) world.slots.releaseStream(streamId)
          return right.take(request)
        },
      }
    },
  ],
  [
    'take() grants no slot after an outage',
    'O2',
    (right) => {
      let hadOutage = false
      return {
        outage: () => {
          hadOutage = true
        },
        take: (request) => (hadOutage ? undefined : right.take(request)),
      }
    },
  ],
  [
    'the first process after an outage recovers the entries of the other processes',
    'O3',
    (right, world) => {
      let hadOutage = false
      return {
        outage: () => {
          hadOutage = true
        },
        recover: () => {
          const others = [...world.journal.values()].filter(({ writer }) => hadOutage && writer !== right)
          for (const other of others) other.writer = right
          return hadOutage ? others.map(({ entry }) => entry) : right.recover()
        },
      }
    },
  ],
  [
    'an outage deletes the entries of dead processes',
    'O4',
    (_, world) => ({
      outage: () => {
        for (const [streamId, { writer }] of world.journal) if (!world.processes.has(writer)) world.journal.delete(streamId)
      },
    }),
  ],
  [
    'every process recovers the same entries after an outage',
    'O4',
    (right, world) => {
      let orphans: ReturnType<typeof right.recover> = []
      return {
        outage: () => {
          orphans = [...world.journal.values()].filter(({ writer }) => !world.processes.has(writer)).map(({ entry }) => entry)
        },
        recover: () => {
          const found = orphans.length > 0 ? orphans : right.recover()
          orphans = []
          return found
        },
      }
    },
  ],
  ['an outage deletes the ended ids', 'O5', (_, world) => ({ outage: () => world.forgetEnds() })],
  ['settle() ignores the life', 'J9', (right, world) => ({ settle: (id) => right.settle(id, world.journal.get(id)?.entry.life) })],
  [
    'settle() treats an unknown life as another life',
    'J9',
    (right, world) => ({
      settle: (id, life = '') => {
        if ((world.journal.get(id)?.entry.life ?? '') === life) right.settle(id, life)
      },
    }),
  ],
  [
    'settle() keeps an entry of its own process that has another life',
    'J10',
    (right, world) => ({
      settle: (id, life = '') => {
        const known = world.journal.get(id)?.entry.life ?? ''
        if (known === '' || life === '' || known === life) right.settle(id, life)
      },
    }),
  ],
  [
    'renew() appends all entries again',
    'J11',
    (right) => {
      const written = new Map<string, Parameters<typeof right.append>[0]>()
      return {
        append: (entry) => {
          written.set(entry.streamId, entry)
          right.append(entry)
        },
        renew: () => {
          for (const entry of written.values()) right.append(entry)
        },
      }
    },
  ],
  [
    'settle() deletes entries of living processes, whatever their life',
    'P10',
    (right, world) => ({
      settle: (id, life) => {
        const { entry, writer = right } = world.journal.get(id) ?? {}
        right.settle(id, world.processes.has(writer) ? entry?.life : life)
      },
    }),
  ],
  [
    'renew() appends the entries again that its process did not settle',
    'P10',
    (right) => {
      const written = new Map<string, Parameters<typeof right.append>[0]>()
      return {
        append: (entry) => {
          written.set(entry.streamId, entry)
          right.append(entry)
        },
        settle: (id, life) => {
          written.delete(id)
          right.settle(id, life)
        },
        renew: () => {
          for (const entry of written.values()) right.append(entry)
        },
      }
    },
  ],
  [
    'renew() occupies the slots of all streams again',
    'P11',
    (right) => {
      const occupied = new Map<string, string>()
      return {
        occupy: (containerId, streamId) => {
          occupied.set(streamId, containerId)
          right.occupy(containerId, streamId)
        },
        renew: () => {
          for (const [streamId, containerId] of occupied) right.occupy(containerId, streamId)
        },
      }
    },
  ],
  ['attach() of a second client frees all slots', 'A1', (_, world) => ({ attach: fromSecondCallOn(() => world.forgetSlots()) })],
  ['attach() of a second client deletes all ended ids', 'A1', (_, world) => ({ attach: fromSecondCallOn(() => world.forgetEnds()) })],
  ['attach() returns a promise', 'A1', () => ({ attach: () => Promise.resolve() as unknown as undefined })],
]
