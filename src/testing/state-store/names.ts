import { expectSame } from './expect.ts'
import type { ProvableRule } from './rule.ts'
import { BEGIN, byId, endedAmong, entry, LEASE_MS, retention, slot, usageOf } from './samples.ts'

const LONGEST_ID = 2_048

/** Ids that stores have confused or cut off because of separators, patterns, prototypes, case folding or column widths. */
const NAMES: readonly string[] = [
  'plain',
  'with space',
  'with space ',
  ' with space',
  'a|b',
  'a:b',
  'a:b:c',
  '{tag}',
  '{',
  '}',
  '{}',
  '*',
  '?[x]',
  '%',
  '_',
  `'; DROP TABLE journal; --`,
  '"quoted"',
  'back\\slash',
  'line\nbreak',
  'line\r\nbreak',
  'tab\there',
  '__proto__',
  'constructor',
  'toString',
  'null',
  'undefined',
  '0',
  '00',
  '1e3',
  'Größe',
  'gro\u0308\u00dfe',
  'gr\u00f6\u00dfe',
  'PLAIN',
  '直播流',
  '📺🏟️',
  'x'.repeat(LONGEST_ID),
  `${'x'.repeat(LONGEST_ID - 1)}y`,
  '📺'.repeat(LONGEST_ID / 2),
]

/** Rules about the characters and lengths of ids. */
export const NAMING: readonly ProvableRule[] = [
  {
    id: 'N1',
    text: 'ids of engines, leases and streams may have up to 2,048 characters of any kind, and no two are confused',
    needs: [],
    async prove({ store }) {
      for (const name of NAMES) {
        expectSame(`a take on ${name}`, await store.take(slot(name, { on: name, limit: 2 })), name)
        await store.occupy(name, name)
        expectSame(`a take on ${name} when it is full`, await store.take(slot(`other ${name}`, { on: name, limit: 2 })), undefined)
      }
      for (const name of NAMES) expectSame(`usage of ${name}`, await usageOf(store, name), { leaseCount: 1, streamIds: new Set([name]) })
      for (const name of NAMES) {
        expectSame(`the lease on ${name}`, await store.releaseLease(name), name)
        expectSame(
          `a take on ${name} where its stream is reported`,
          await store.take(slot(name, { on: name, reported: [name], limit: 2 })),
          name,
        )
        expectSame(`the promotion of ${name}`, await store.promote(name, name), true)
        expectSame(`a take on ${name} where one stream is left`, await store.take(slot(name, { on: name, limit: 2 })), name)
        expectSame(`the stream on ${name}`, await store.releaseStream(name), name)
      }
      const leases = NAMES.map((name) => ({ leaseId: name, containerId: name, expiresAt: BEGIN + LEASE_MS }))
      expectSame('leases that expired', byId(await store.expire(BEGIN + LEASE_MS)), byId(leases))
    },
  },
  {
    id: 'N2',
    text: 'ids of ended streams may have up to 2,048 characters of any kind, and no two are confused',
    needs: [],
    async prove({ store }) {
      for (const name of NAMES) expectSame(`the first claim of ${name}`, await store.claimEnd(name, retention()), true)
      for (const name of NAMES) expectSame(`the second claim of ${name}`, await store.claimEnd(name, retention()), false)
      expectSame('ended ids', await endedAmong(store, NAMES, retention()), new Set(NAMES))
      for (const name of NAMES) {
        await store.unclaimEnd(name)
        expectSame(`claims of ${name} after it was unclaimed`, await store.claimEnd(name, retention()), true)
      }
    },
  },
  {
    id: 'N3',
    text: 'text fields of the journal may have up to 2,048 characters of any kind, and no two ids are confused',
    needs: ['durable'],
    async prove(trial) {
      const entries = NAMES.map((name) => entry(name, { containerId: name, proxyId: name, reason: name }))
      for (const written of entries) await trial.store.append(written)
      const successor = await trial.crash()
      expectSame('entries', await successor.recover(), entries)
      for (const name of NAMES.slice(1)) await successor.settle(name)
      const last = await trial.crash()
      expectSame('the entry that was not settled', await last.recover(), entries.slice(0, 1))
    },
  },
]
