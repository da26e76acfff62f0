import { MemoryStore, type StateStore } from 'acestream-orchestrator-client'
import { ManualClock } from 'acestream-orchestrator-client/testing'
import { silentLogger } from '../../src/runtime/logger.ts'
import { Outages } from '../../src/runtime/outages.ts'
import { Sequence } from '../../src/runtime/sequence.ts'
import { EndedLedger } from '../../src/streams/ended-ledger.ts'
import { Journal } from '../../src/streams/journal.ts'

export interface LedgerOptions {
  clock?: ManualClock
  sequence?: Sequence
  /** @default a `MemoryStore` */
  store?: StateStore
  /** How many ids of each status are remembered. @default 10 */
  max?: number
}

/** The ledger of a client that remembers ended ids for 1,000 ms, without the client. */
export function endedLedger({
  clock = new ManualClock(),
  sequence = new Sequence(),
  store = new MemoryStore(),
  max = 10,
}: LedgerOptions = {}): EndedLedger {
  const outages = new Outages({ logger: silentLogger, clock })
  const journal = new Journal({ store, isStoreShared: true, outages, proxyId: 'proxy' })
  return new EndedLedger({ store, journal, sequence, clock, outages, endedRetentionMs: 1_000, endedRetentionMax: max })
}
