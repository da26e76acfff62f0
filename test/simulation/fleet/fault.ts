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
