import { acquiring } from './acquiring.ts'
import type { Group } from './frame/row.ts'

/** All that `npm run bench` measures, in the order in which it is printed. */
export const GROUPS: readonly Group[] = [acquiring]
