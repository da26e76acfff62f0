import type { FleetMember } from './member.ts'
import { serverFaults } from './server-faults.ts'
import { STEP_MS } from './settings.ts'
import type { World } from './world.ts'

/** Something that goes wrong. */
export interface Fault {
  readonly name: string
  /** How often, compared with the others. */
  readonly weight: number
  /** Answers what undoes it, and after how long, milliseconds. */
  readonly begin: (world: World, random: () => number) => Promise<Undo | undefined>
}

export interface Undo {
  readonly afterMs: number
  readonly end: () => Promise<void> | void
}

const between = (from: number, to: number, random: () => number): number => from + random() * (to - from)

/** A member that nothing has befallen yet. */
function pick(world: World, random: () => number): FleetMember | undefined {
  const place = random()
  const well = world.living.filter(({ isPaused, standing, link }) => !isPaused && !standing.isCutOff && link.isClear)
  return well[Math.floor(place * well.length)]
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

/** Faults of one member and of its link. */
const MEMBER_FAULTS: readonly Fault[] = [
  onMember('its link is slow', 4, ({ link }, random) => {
    link.delay(Math.ceil(between(1, 4, random)) * STEP_MS)
    return { afterMs: between(1_000, 8_000, random), end: () => link.delay(0) }
  }),
  onMember('its connections are cut', 3, ({ link }) => {
    link.cut()
    return undefined
  }),
  onMember('answers to it are lost', 3, ({ link }, random) => {
    link.loseAnswers(Math.ceil(between(0, 3, random)))
    return { afterMs: 3_000, end: () => link.loseAnswers(0) }
  }),
  onMember('its link is frozen', 3, ({ link }, random) => {
    link.hold()
    return { afterMs: between(500, 9_000, random), end: () => link.resume() }
  }),
  onMember('its link is frozen, then cut, and what it sent arrives late', 4, ({ link }, random) => {
    link.hold()
    const lateMs = between(0, 4_000, random)
    return { afterMs: between(200, 3_000, random), end: () => link.cutButDeliver(lateMs) }
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

export const FAULTS: readonly Fault[] = [...MEMBER_FAULTS, ...serverFaults]
