import type { World } from './world.ts'

/** A fault that the simulation can cause. */
export interface Fault {
  readonly name: string
  /** Relative frequency. */
  readonly weight: number
  /** Begins the fault. Returns how to end it; `undefined` if it is over at once or cannot happen now. */
  readonly begin: (world: World, random: () => number) => Promise<Undo | undefined>
}

/** Ends a fault. */
export interface Undo {
  /** Milliseconds after the fault began. */
  readonly afterMs: number
  readonly end: () => Promise<void> | void
}
