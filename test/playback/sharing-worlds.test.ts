import { it } from 'vitest'
import { checkSharingWorlds } from './sharing-worlds.ts'

it('[I1] [I4] [I5] [I6] [I8] viewers that open and join streams keep each other and the engines safe, also when anything fails and any viewer leaves', () =>
  checkSharingWorlds(50))
