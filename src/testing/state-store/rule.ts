import type { Trial } from './subject.ts'

/** A rule that a state store must keep, and the options under which it applies. */
export interface StateStoreRule {
  /** The id of the rule, the same in every release. */
  readonly id: string
  /** The rule as a sentence. */
  readonly text: string
  /** The options of {@link describeStateStore} that must be `true` for the rule to apply. */
  readonly needs: readonly ('durable' | 'shared' | 'outage')[]
}

/** A rule with the code that checks it. */
export interface ProvableRule extends StateStoreRule {
  /** Rejects if the store breaks the rule. */
  prove(trial: Trial): Promise<void>
}
