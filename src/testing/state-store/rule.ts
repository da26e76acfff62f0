import type { Trial } from './subject.ts'

/** What a rule of the suite says, and where it applies. */
export interface StateStoreRule {
  /** Names the rule, the same in every release. */
  readonly id: string
  /** What a store must do, a sentence. */
  readonly text: string
  /** What the store has to be declared as for the rule to apply. */
  readonly needs: readonly ('durable' | 'shared' | 'outage')[]
}

/** A rule that can be tried. */
export interface ProvableRule extends StateStoreRule {
  /** Rejects where the rule is broken. */
  prove(trial: Trial): Promise<void>
}
