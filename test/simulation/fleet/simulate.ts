import { beginMove } from './cluster-faults.ts'
import type { Fault, Undo } from './fault.ts'
import { faultsOf } from './faults.ts'
import { leftovers } from './leftovers.ts'
import { CALM_MS, ENGINES, LIMIT, RENEW_MS, STEP_MS } from './settings.ts'
import { Violation } from './truth.ts'
import { World, type WorldOptions } from './world.ts'

const MEMBERS = 4
const ROUNDS = 2
const FAULTY_MS = 30_000

/** The result of a run. */
export interface Outcome {
  readonly seed: number
  /** The broken invariant or the error; `undefined`: the run passed. */
  readonly failure: string | undefined
  readonly faults: readonly string[]
  /** The last events. */
  readonly events: readonly string[]
}

/** Runs a fleet through a time with faults and then a time without, twice. Then all members leave. */
export async function simulate(options: WorldOptions): Promise<Outcome> {
  await using world = await World.start(options)
  const faults: string[] = []
  const kinds = faultsOf(world).filter(({ name }) => name.includes(options.only ?? ''))
  try {
    for (let i = 0; i < MEMBERS; i += 1) await world.join()
    await world.steps(2 * RENEW_MS)
    for (let round = 0; round < ROUNDS; round += 1) {
      await causeFaults(world, kinds, faults)
      await calm(world)
      await probe(world)
      if (world.isCluster) await probeWhileSlotMoves(world)
    }
    await allLeave(world)
    return { seed: options.seed, failure: undefined, faults, events: [] }
  } catch (error) {
    const failure = error instanceof Violation ? error.message : String(error instanceof Error ? error.stack : error)
    return { seed: options.seed, failure, faults, events: world.log.last }
  }
}

/** Causes one fault after another, some at the same time. */
async function causeFaults(world: World, kinds: readonly Fault[], faults: string[]): Promise<void> {
  const { random } = world
  const pending: { readonly at: number; readonly end: Undo['end'] }[] = []
  const until = world.now + FAULTY_MS
  let nextAt = world.now
  const next = async (): Promise<void> => {
    for (const due of pending.filter(({ at }) => at <= world.now)) {
      pending.splice(pending.indexOf(due), 1)
      await due.end()
    }
    if (world.now >= until || world.now < nextAt) return
    const fault = pick(kinds, random())
    const undo = await fault?.begin(world, random)
    if (fault !== undefined) faults.push(`${((world.now - until + FAULTY_MS) / 1_000).toFixed(1)} s ${fault.name}`)
    if (undo !== undefined) pending.push({ at: world.now + undo.afterMs, end: undo.end })
    nextAt = world.now + 500 + random() * 4_500
  }
  while (world.now < until || pending.length > 0) {
    await world.step(next)
  }
  world.log.add('calm')
}

function pick(kinds: readonly Fault[], share: number): Fault | undefined {
  let left = share * kinds.reduce((sum, { weight }) => sum + weight, 0)
  return kinds.find(({ weight }) => {
    left -= weight
    return left < 0
  })
}

/** Three times to live without a fault. By then the entries of dead members must be recovered. */
async function calm(world: World): Promise<void> {
  await world.steps(CALM_MS + RENEW_MS)
  world.truth.checkRecovered()
}

/** Checks that every member gets a slot on every engine that has room. */
async function probe(world: World): Promise<void> {
  for (const containerId of ENGINES) {
    for (const member of world.living) {
      if (world.truth.heldOn(containerId) >= LIMIT) continue
      const answer = await world.stepsUntil(world.trafficOf(member).probe(containerId))
      if (answer === 'granted' || world.truth.heldOn(containerId) >= LIMIT) continue
      throw new Violation(
        `[I6] ${member.name} got no slot on ${containerId} (${answer}): only ${world.truth.heldOn(containerId)} of ${LIMIT} are held`,
      )
    }
  }
}

/**
 * Checks that no member reports the cluster as away while a hash slot moves for a moment; calls may only take longer. Afterwards the store
 * may wait for the reports of all members, because the new server may lack the last writes.
 */
async function probeWhileSlotMoves(world: World): Promise<void> {
  const end = await beginMove(world, world.random)
  world.log.add('a hash slot of the cluster moves for a moment')
  // Client libraries may reject commands meanwhile, so a member may claim an end without the store.
  world.truth.storeWritableSince = Number.POSITIVE_INFINITY
  const answers = world.living.map((member) => world.trafficOf(member).probe(ENGINES[0] ?? ''))
  await world.steps(2 * STEP_MS)
  await end?.()
  world.truth.storeWritableSince = world.now
  if ((await Promise.all(answers.map((answer) => world.stepsUntil(answer)))).includes('away'))
    throw new Violation('[I6] a member reported the cluster as away while one of its hash slots moved')
}

/** All members leave, one after the other. A new member leaves last: it recovers the entries of the others. */
async function allLeave(world: World): Promise<void> {
  world.quiet()
  const before = world.living
  const last = await world.join()
  world.trafficOf(last).isQuiet = true
  for (const [place, member] of before.entries()) {
    // Some members leave at once and still have viewers, whose streams other members end. Some leave later.
    if (place > 0) await world.steps(Math.floor(world.random() * 10) * STEP_MS)
    await world.stepsUntil(Promise.race([member.leave(), world.clock.settle().then(() => new Promise(() => {}))]))
  }
  await world.steps(CALM_MS)
  world.truth.checkRecovered()
  await world.stepsUntil(last.leave())
  const left = (await Promise.all(world.inspectors.map(leftovers))).flat()
  if (left.length > 0) throw new Violation(`[I7] the server still holds after all members have left: ${left.join('; ')}`)
}
