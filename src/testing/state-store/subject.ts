import { silentLogger } from '../../runtime/logger.ts'
import type { MaybePromise } from '../../runtime/maybe-promise.ts'
import { STORE_METHODS, type StateStore, type StoreUser } from '../../state/store.ts'
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
  /**
   * Makes the state unreachable for every process, for longer than a silent process is taken to live, and then reachable again with nothing
   * lost. Resolves once slots are given out again, every living process had the time to report, and a process that crashed before is taken
   * for dead.
   */
  outage?: (() => MaybePromise<void>) | undefined
  /** Called once when the rule has been tried: closes all that was made. */
  close?: (() => MaybePromise<void>) | undefined
}

/** Makes what one rule is tried on; called anew for every rule. */
export type StoreFactory = () => MaybePromise<StateStore | StoreUnderTest>

/** The client that every store under test is attached to. */
export const USER: StoreUser = Object.freeze({ baseUrl: 'http://orchestrator.test', logger: silentLogger })

function attached(store: StateStore): StateStore {
  store.attach?.(USER)
  return store
}

/** One rule's try on a store of its own. */
export class Trial {
  readonly #subject: StoreUnderTest

  constructor(subject: StateStore | StoreUnderTest) {
    this.#subject = toUnderTest<StoreUnderTest>('store', STORE_METHODS, subject)
    attached(this.#subject.store)
  }

  get store(): StateStore {
    return this.#subject.store
  }

  async crash(): Promise<StateStore> {
    return attached((await this.#subject.crash?.()) ?? fail('declared durable, but what the factory answers has no method crash'))
  }

  async peer(): Promise<StateStore> {
    return attached((await this.#subject.peer?.()) ?? fail('declared shared, but what the factory answers has no method peer'))
  }

  async outage(): Promise<void> {
    if (this.#subject.outage === undefined) fail('declared to have outages, but what the factory answers has no method outage')
    await this.#subject.outage()
  }

  async close(): Promise<void> {
    await this.#subject.close?.()
  }
}
