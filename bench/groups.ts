import { acquiring } from './acquiring.ts'
import { comparison } from './comparison.ts'
import { sqliteDurability } from './durability.ts'
import type { Group } from './frame/row.ts'
import { imports } from './imports.ts'
import { lists } from './lists.ts'
import { memory } from './memory.ts'
import { playbacks } from './playbacks.ts'
import { redisStore } from './redis.ts'
import { redisFleet } from './redis-fleet.ts'
import { requesting } from './requests.ts'
import { bundleSizes } from './sizes.ts'
import { streaming } from './streams.ts'
import { videoForViewers } from './viewers.ts'

/** All that `npm run bench` measures, in the order in which it is printed. */
export const GROUPS: readonly Group[] = [
  acquiring,
  streaming,
  playbacks,
  requesting,
  lists,
  memory,
  imports,
  bundleSizes,
  comparison,
  redisStore,
  redisFleet,
  sqliteDurability,
  videoForViewers,
]
