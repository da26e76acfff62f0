import { it } from 'vitest'
import { checkFaultyWorlds } from './faulty-worlds.ts'

it('[I1] [I3] [I4] [I5] [I6] [I7] [I8] client and orchestrator agree, and all slots are free, after any faults and restarts, in 300 runs', () =>
  checkFaultyWorlds(300))
