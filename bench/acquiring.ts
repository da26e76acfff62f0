/** Measures `acquireEngine()` and `release()`: against resource pools, by the number of engines, all at once, and with a long line of waiting callers. */
import { blocksMs, cpuUs, inTurn, median, oneByOne } from './frame/measure.ts'
import type { Group, Line, Row } from './frame/row.ts'
import { workOf } from './frame/work.ts'
import { acquireAll, connect, POOLS } from './pools.ts'

/** Numbers of engines. The first is what the others are compared with. */
export const SIZES = [17, 100, 1_000, 10_000] as const
const [FEW] = SIZES
const MANY = 10_000
const CALLERS = 1_000
const BURSTS = 5
/** Engines that the waiting callers wait for. */
const CONTESTED = 10
const FEW_WAITERS = 10
const WAITERS = 1_000
const MANY_WAITERS = 10_000
const WAIT = { provision: false, waitMs: 3_600_000 }

const cycleOf = async (name: keyof typeof POOLS, size: number) => oneByOne(await POOLS[name](size))

const againstTarn: Row = {
  id: 'acquire-17',
  what: 'acquireEngine() and release(), 17 engines',
  peer: 'tarn, 17 resources',
  unit: 'µs',
  goal: 1,
  miss: { upTo: 1.2, because: `On par: eight runs gave 0.91 to 1.1.` },
  kind: 'timed',
  measure: async () => inTurn(await cycleOf('this client', FEW), await cycleOf('tarn', FEW)),
}

const bySize = SIZES.slice(1).map(
  (size): Row => ({
    id: `acquire-${size}`,
    what: `the same, ${size.toLocaleString('en')} engines`,
    peer: 'the same, 17 engines',
    unit: 'µs',
    goal: 1.5,
    kind: 'timed',
    measure: async () => inTurn(await cycleOf('this client', size), await cycleOf('this client', FEW)),
  }),
)

const work: Row = {
  id: 'acquire-work',
  what: 'code that runs for acquireEngine() and release(), 10,000 engines',
  peer: 'the same, 17 engines',
  unit: 'characters',
  goal: 1.5,
  kind: 'counted',
  measure: async () => ({
    cost: await workOf(await cycleOf('this client', MANY)),
    peer: await workOf(await cycleOf('this client', FEW)),
  }),
}

const burst: Row = {
  id: 'acquire-burst',
  what: '1,000 acquires at once on 10,000 engines: longest block of the event loop',
  unit: 'ms',
  goal: 20,
  kind: 'timed',
  async measure() {
    const blocks: number[] = []
    for (let run = 0; run < BURSTS; run += 1) {
      const { client } = await connect(MANY)
      await (await client.acquireEngine()).release()
      const [longest = Number.NaN] = await blocksMs(() => acquireAll(CALLERS, () => client.acquireEngine()))
      blocks.push(longest)
      await client.close()
    }
    return { cost: median(blocks) }
  },
}

/** Frees one slot, which the first of so many waiting callers gets. A new caller at the end keeps the line as long as it is. */
async function slotFor(waiters: number) {
  const { client } = await connect(CONTESTED)
  const held = await acquireAll(CONTESTED, () => client.acquireEngine({ provision: false }))
  const waiting = Array.from({ length: waiters }, () => client.acquireEngine(WAIT))
  let first = 0
  return oneByOne(async () => {
    waiting.push(client.acquireEngine(WAIT))
    await held.shift()?.release()
    const served = await waiting[first]
    delete waiting[first]
    first += 1
    if (served !== undefined) held.push(served)
  })
}

const SLOTS = { what: 'a slot from its release to the first of 1,000 waiting callers', peer: 'the first of 10' }

const slot: Row = {
  ...SLOTS,
  id: 'waiters-slot',
  unit: 'µs',
  goal: 1.5,
  kind: 'timed',
  measure: async () => inTurn(await slotFor(WAITERS), await slotFor(FEW_WAITERS)),
}

const slotOfMany: Row = {
  ...SLOTS,
  id: 'waiters-slot-10000',
  what: 'the same, the first of 10,000',
  unit: 'µs',
  goal: 1.5,
  miss: {
    upTo: 2.3,
    because: `The first of 1,000 and the first of 10,000 cost the same, 12 to 18 µs by run. The first of 10 costs 8 to 15 µs, which
changes from process to process, probably with what V8 compiled; then this row has 1.8 or 1. See \`waiters-work\`, which counts.`,
  },
  kind: 'timed',
  measure: async () => inTurn(await slotFor(MANY_WAITERS), await slotFor(FEW_WAITERS)),
}

const slotWork: Row = {
  ...SLOTS,
  id: 'waiters-work',
  what: `code that runs for ${SLOTS.what}`,
  unit: 'characters',
  goal: 1.1,
  kind: 'counted',
  measure: async () => ({ cost: await workOf(await slotFor(WAITERS)), peer: await workOf(await slotFor(FEW_WAITERS)) }),
}

/** The cost of one acquire and one release, microseconds, by number of engines or resources. */
export async function costsBySize(): Promise<Record<keyof typeof POOLS, number[]>> {
  const costs = { 'this client': [] as number[], tarn: [] as number[], 'generic-pool': [] as number[], 'lightning-pool': [] as number[] }
  for (const size of SIZES) {
    for (const name of Object.keys(POOLS) as (keyof typeof POOLS)[]) costs[name].push(await cpuUs(await cycleOf(name, size)))
  }
  return costs
}

async function poolLines(): Promise<Line[]> {
  const costs = await costsBySize()
  return Object.entries(costs).map(([name, values]) => ({
    'CPU time, µs': name,
    ...Object.fromEntries(values.map((value, index) => [`${SIZES[index]?.toLocaleString('en')} engines`, value])),
  }))
}

export const acquiring: Group = {
  title: 'Acquiring an engine',
  about: `One caller takes an engine and releases it at once, with an engine list that is fresh. The pools hand out any free resource. They
know no loads, no order of engines and no list that changes, so they do less. Goal: as cheap as \`tarn\`, and the cost does not grow with
the number of engines, so a proxy may have thousands. The rows of code that runs count the characters of this package's code that the
engine executes, which is the same on every machine.`,
  rows: [againstTarn, ...bySize, work, burst, slot, slotOfMany, slotWork],
  tables: [{ id: 'pools', title: 'One acquire and one release, by the number of engines or resources', measure: poolLines }],
}
