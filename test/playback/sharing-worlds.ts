import fc from 'fast-check'
import { expect } from 'vitest'
import { calmWorld, type World, wildWorld } from './sharing-plan.ts'
import { SharingViewers } from './sharing-viewers.ts'
import { SharingWorld, type WorldClient } from './sharing-world.ts'

/** The time in which viewers act, and then the time in which all that is left ends, milliseconds. */
const ACT_MS = 30_000
const REST_MS = 5 * 60_000
const CHECK_MS = 500

/** Lives one world. Returns one line for each promise of `openStream` and `joinStream` that was broken. */
async function live(plan: World): Promise<readonly string[]> {
  const world = new SharingWorld(plan)
  const viewers = new SharingViewers(world)
  const { clock, fake } = world
  const { closing } = plan
  if (closing !== undefined) world.when(closing.when, undefined, () => world.close(world.clients[0] as WorldClient, closing.timeoutMs))
  for (const [index, viewer] of plan.viewers.entries()) void viewers.live(`viewer ${index} (${viewer.call})`, viewer)
  for (const { at, what } of plan.disturbances) clock.setTimeout(() => world.disturb(what), at)
  for (let passed = 0; passed < ACT_MS; passed += CHECK_MS) {
    await clock.advance(CHECK_MS)
    await world.check()
  }
  fake.clearFaults()
  fake.setProvisioning({ refuse: undefined })
  for (const lease of viewers.leases) await lease.release()
  // Some viewers still ask again.
  for (let passed = 0; passed < ACT_MS; passed += 2 * CHECK_MS) {
    await clock.advance(2 * CHECK_MS)
    await world.rest()
  }
  await clock.advance(REST_MS)
  await world.check()
  checkRest(world, viewers)
  for (const own of world.clients) world.close(own, 0)
  await clock.advance(60_000)
  if (clock.pendingCount > 0) world.report(`${clock.pendingCount} timers are armed in the end`)
  const lines = JSON.stringify(world.logger.all, (_key, value) => (value instanceof Error ? value.message : value))
  if (lines.includes('Defect')) world.report('a defect was logged')
  return world.problems
}

/** What holds when all viewers are gone and no stream lingers. */
function checkRest(world: SharingWorld, viewers: SharingViewers): void {
  const { fake, host, plan, stored, isAnyClosing } = world
  for (const name of world.pending) world.report(`${name} has not settled`)
  for (const [{ id }, { firsts }] of viewers.watched) if (firsts !== 1) world.report(`stream ${id} has ${firsts} first viewers`)
  for (const { name, state, closeCalls } of host.sessions) {
    const wasOpened = state !== 'opening' && state !== 'failed'
    if (wasOpened && closeCalls !== 1) world.report(`close was called ${closeCalls} times for session ${name}`)
  }
  for (const { client, isClosing, joinedCount, viewerCounts } of world.clients) {
    if (isClosing) continue
    const { leases, streams, events } = client.metrics()
    const left = { ...streams, leases: leases.active, waiting: leases.waiting, pending: events.pending, misapplied: events.misapplied }
    for (const [what, count] of Object.entries(left)) if (count !== 0) world.report(`at rest there are ${count}: ${what}`)
    const { joinedCount: handedOut } = viewers
    if (world.clients.length === 1 && joinedCount !== handedOut) world.report(`${joinedCount} viewer:joined for ${handedOut} viewers`)
    for (const [id, count] of viewerCounts) if (count !== 0) world.report(`${count} viewers never left ${id}`)
  }
  if (isAnyClosing) return // its time may have been too short for the ends
  const kinds = new Set(plan.disturbances.map(({ what }) => what.kind))
  for (const id of fake.liveStreamIds()) world.report(`stream ${id} is still listed`)
  for (const [engine, { leaseCount, streamIds }] of stored?.inner.usage() ?? []) {
    if (leaseCount + streamIds.size > 0) world.report(`at rest engine ${engine} has ${leaseCount} leases and ${streamIds.size} streams`)
  }
  if (kinds.has('fault') || kinds.has('restart') || kinds.has('removeEngine') || kinds.has('drainEngine')) return
  const { peakLoad, startsApplied, endsApplied, namesakesEnded } = fake.counters
  for (const peak of Object.values(peakLoad)) if (peak > plan.limit) world.report(`an engine had ${peak} streams`)
  const ends = endsApplied + namesakesEnded // H6
  if (startsApplied !== ends) world.report(`${startsApplied} starts and ${ends} ends were applied`)
}

/**
 * Lives this many random worlds. `SIMULATION_RUNS`, `SIMULATION_SEED` and `SIMULATION_PATH` in the environment replace the number, the seed,
 * and the path of a failure. `SIMULATION_MINUTES` stops the search after this time.
 */
export async function checkSharingWorlds(runs: number): Promise<void> {
  const { SIMULATION_RUNS = runs, SIMULATION_SEED = '20261201', SIMULATION_PATH, SIMULATION_MINUTES } = process.env
  const rejections: unknown[] = []
  const note = (reason: unknown): void => void rejections.push(reason)
  process.on('unhandledRejection', note)
  try {
    const anyWorld = fc.oneof({ weight: 1, arbitrary: calmWorld }, { weight: 3, arbitrary: wildWorld })
    let count = 0
    const property = fc.asyncProperty(anyWorld, async (plan) => {
      count += 1
      const problems = await live(plan)
      const unhandled = rejections.splice(0).map((reason) => `unhandled: ${reason instanceof Error ? reason.stack : String(reason)}`)
      expect([...problems, ...unhandled]).toEqual([])
    })
    await fc.assert(property, {
      ...{ numRuns: Number(SIMULATION_RUNS), seed: Number(SIMULATION_SEED) },
      ...(SIMULATION_PATH === undefined ? {} : { path: SIMULATION_PATH }),
      ...(SIMULATION_MINUTES === undefined ? {} : { interruptAfterTimeLimit: Number(SIMULATION_MINUTES) * 60_000 }),
    })
    if (SIMULATION_MINUTES !== undefined) console.log(`${count} worlds, seed ${SIMULATION_SEED}`)
  } finally {
    process.off('unhandledRejection', note)
  }
}
