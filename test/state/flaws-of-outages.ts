import type { NamedFlaw } from './world.ts'

function fromTheSecondOn(act: () => void): () => void {
  let calls = 0
  return () => {
    calls += 1
    if (calls > 1) act()
  }
}

/** Stores that are wrong about an outage, about renewals, or about the client that uses them. */
export const FLAWS_OF_OUTAGES: readonly NamedFlaw[] = [
  [
    'an outage ends every lease',
    'O1',
    (right) => ({
      outage: () => {
        for (const leaseId of right.leases.keys()) right.releaseLease(leaseId)
      },
    }),
  ],
  [
    'after an outage recover answers what its own process wrote',
    'O1',
    (right, world) => {
      let isBack = false
      const own = () => [...world.journal.values()].filter(({ writer }) => writer === right).map(({ entry }) => entry)
      return {
        outage: () => {
          isBack = true
        },
        recover: () => [...right.recover(), ...(isBack ? own() : [])],
      }
    },
  ],
  [
    'the first process back frees the slots of the others',
    'O2',
    (right, world) => {
      let isBack = false
      return {
        outage: () => {
          isBack = true
        },
        take: (request) => {
          const others = isBack ? [...world.processes].filter((process) => process !== right) : []
          isBack = false
          for (const other of others) for (const streamId of other.streams) world.slots.releaseStream(streamId)
          return right.take(request)
        },
      }
    },
  ],
  [
    'no slot is given out after an outage',
    'O2',
    (right) => {
      let isBack = false
      return {
        outage: () => {
          isBack = true
        },
        take: (request) => (isBack ? undefined : right.take(request)),
      }
    },
  ],
  [
    'the first process back recovers what the others wrote',
    'O3',
    (right, world) => {
      let isBack = false
      return {
        outage: () => {
          isBack = true
        },
        recover: () => {
          const others = [...world.journal.values()].filter(({ writer }) => isBack && writer !== right)
          for (const other of others) other.writer = right
          return isBack ? others.map(({ entry }) => entry) : right.recover()
        },
      }
    },
  ],
  [
    'the entries of the dead are lost in an outage',
    'O4',
    (_, world) => ({
      outage: () => {
        for (const [streamId, { writer }] of world.journal) if (!world.processes.has(writer)) world.journal.delete(streamId)
      },
    }),
  ],
  [
    'after an outage every process recovers for itself',
    'O4',
    (right, world) => {
      let left: ReturnType<typeof right.recover> = []
      return {
        outage: () => {
          left = [...world.journal.values()].filter(({ writer }) => !world.processes.has(writer)).map(({ entry }) => entry)
        },
        recover: () => {
          const found = left.length > 0 ? left : right.recover()
          left = []
          return found
        },
      }
    },
  ],
  ['ends are forgotten in an outage', 'O5', (_, world) => ({ outage: () => world.forgetEnds() })],
  ['settle knows no lives', 'J9', (right, world) => ({ settle: (id) => right.settle(id, world.journal.get(id)?.entry.life) })],
  [
    'settle takes a life that is not known for another',
    'J9',
    (right, world) => ({
      settle: (id, life = '') => {
        if ((world.journal.get(id)?.entry.life ?? '') === life) right.settle(id, life)
      },
    }),
  ],
  [
    'settle keeps its own entry of another life',
    'J10',
    (right, world) => ({
      settle: (id, life = '') => {
        const known = world.journal.get(id)?.entry.life ?? ''
        if (known === '' || life === '' || known === life) right.settle(id, life)
      },
    }),
  ],
  [
    'renew writes all entries again',
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
    'settle strikes out every life that a living process wrote',
    'P10',
    (right, world) => ({
      settle: (id, life) => {
        const { entry, writer = right } = world.journal.get(id) ?? {}
        right.settle(id, world.processes.has(writer) ? entry?.life : life)
      },
    }),
  ],
  [
    'renew writes the entries again that its process did not settle',
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
    'renew takes the slots of all streams again',
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
  ['attach of one more client frees all slots', 'A1', (_, world) => ({ attach: fromTheSecondOn(() => world.forgetSlots()) })],
  ['attach of one more client forgets all ends', 'A1', (_, world) => ({ attach: fromTheSecondOn(() => world.forgetEnds()) })],
  ['attach answers later', 'A1', () => ({ attach: () => Promise.resolve() as unknown as undefined })],
]
