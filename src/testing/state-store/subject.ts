import type { MaybePromise } from '../../runtime/maybe-promise.ts'
import { STORE_METHODS, type StateStore } from '../../state/store.ts'
import { toUnderTest } from '../ports/contract.ts'
import { fail } from './expect.ts'

/** A store to be proved, with what the rules about crashes and about several processes need. */
export interface StoreUnderTest {
  /** On a state of its own, with nothing in it. */
  readonly store: StateStore
  /**
   * Ends the process that the store answered last (`store`, or the one of the last `crash`) lives in, without a farewell, as far as a test
   * can. Answers the store of its successor on the same state, once others can notice that death.
   */
  crash?: (() => MaybePromise<StateStore>) | undefined
  /** Answers the store of one more living process on the same state. */
  peer?: (() => MaybePromise<StateStore>) | undefined
  /** Called once when the rule has been tried: closes all that was made. */
  close?: (() => MaybePromise<void>) | undefined
}

/** Makes what one rule is tried on; called anew for every rule. */
export type StoreFactory = () => MaybePromise<StateStore | StoreUnderTest>

/** One rule's try on a store of its own. */
export class Trial {
  readonly #subject: StoreUnderTest

  constructor(subject: StateStore | StoreUnderTest) {
    this.#subject = toUnderTest<StoreUnderTest>('store', STORE_METHODS, subject)
  }

  get store(): StateStore {
    return this.#subject.store
  }

  async crash(): Promise<StateStore> {
    return this.#subject.crash?.() ?? fail('declared durable, but what the factory answers has no method crash')
  }

  async peer(): Promise<StateStore> {
    return this.#subject.peer?.() ?? fail('declared shared, but what the factory answers has no method peer')
  }

  async close(): Promise<void> {
    await this.#subject.close?.()
  }
}
