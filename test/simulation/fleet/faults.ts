import { CLUSTER_FAULTS } from './cluster-faults.ts'
import type { Fault, Undo } from './fault.ts'
import type { FleetMember } from './member.ts'
import { SERVER_FAULTS } from './server-faults.ts'
import { STEP_MS } from './settings.ts'
import type { World } from './world.ts'

const between = (from: number, to: number, random: () => number): number => from + random() * (to - from)

/** A random member without a fault. */
function pick(world: World, random: () => number): FleetMember | undefined {
  const place = random()
  const healthy = world.living.filter(({ isPaused, status, links }) => !isPaused && !status.isCutOff && links.isClear)
  return healthy[Math.floor(place * healthy.length)]
}

const onMember = (
  name: string,
  weight: number,
  begin: (member: FleetMember, random: () => number, world: World) => Promise<Undo | undefined> | Undo | undefined,
): Fault => ({
  name,
  weight,
  begin: async (world, random) => {
    const member = pick(world, random)
    if (member === undefined) return undefined
    member.note(`fault: ${name}`)
    return begin(member, random, world)
  },
})

/** Faults of one member, or of its link to the store. */
const MEMBER_FAULTS: readonly Fault[] = [
  onMember('its link is slow', 4, ({ links }, random) => {
    const delayMs = Math.ceil(between(1, 4, random)) * STEP_MS
    links.each((link) => link.delay(delayMs))
    return { afterMs: between(1_000, 8_000, random), end: () => links.each((link) => link.delay(0)) }
  }),
  onMember('its connections are cut', 3, ({ links, status }, _, world) => {
    status.cutAt = world.now
    links.each((link) => link.cut())
    return undefined
  }),
  onMember('answers to it are lost', 3, ({ links, status }, random, world) => {
    status.cutAt = world.now
    const count = Math.ceil(between(0, 3, random))
    links.each((link) => link.loseAnswers(count))
    return { afterMs: 3_000, end: () => links.each((link) => link.loseAnswers(0)) }
  }),
  onMember('its link is frozen', 3, ({ links }, random) => {
    links.each((link) => link.hold())
    return { afterMs: between(500, 9_000, random), end: () => links.each((link) => link.resume()) }
  }),
  onMember('its link is frozen, then cut, and its commands arrive late', 4, ({ links }, random) => {
    links.each((link) => link.hold())
    const lateMs = between(0, 4_000, random)
    return { afterMs: between(200, 3_000, random), end: () => links.each((link) => link.cutButDeliver(lateMs)) }
  }),
  onMember('it pauses', 3, (member, random) => {
    member.pause()
    return { afterMs: between(1_000, 12_000, random), end: () => member.resume() }
  }),
  onMember('it crashes', 3, async (member, _, world) => {
    member.crash()
    await world.join()
    return undefined
  }),
  onMember('it leaves', 2, async (member, _, world) => {
    member.run(() => member.leave())
    await world.join()
    return undefined
  }),
]

/** The faults that can happen in this world. */
export const faultsOf = (world: World): readonly Fault[] => [...MEMBER_FAULTS, ...(world.isCluster ? CLUSTER_FAULTS : SERVER_FAULTS)]
