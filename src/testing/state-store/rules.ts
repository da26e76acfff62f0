import { ATTACHING } from './attaching.ts'
import { CRASHES } from './crashes.ts'
import { ENDS } from './ends.ts'
import { HOLDING } from './holding.ts'
import { JOURNAL } from './journal.ts'
import { NAMING } from './names.ts'
import { OUTAGES } from './outages.ts'
import type { ProvableRule, StateStoreRule } from './rule.ts'
import { SHARING } from './sharing.ts'
import { TAKING } from './taking.ts'
import { WAKING } from './wake.ts'

/** All rules, in the order in which they are checked. */
export const RULES: readonly ProvableRule[] = [
  ...TAKING,
  ...HOLDING,
  ...CRASHES,
  ...ENDS,
  ...JOURNAL,
  ...NAMING,
  ...SHARING,
  ...WAKING,
  ...OUTAGES,
  ...ATTACHING,
]

/** The rules that `describeStateStore` checks. The title of each test is the `id` of its rule, a space, and its `text`. */
export const STATE_STORE_RULES: readonly StateStoreRule[] = RULES.map(({ id, text, needs }) => ({ id, text, needs }))
