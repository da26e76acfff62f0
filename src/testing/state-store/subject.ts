import { silentLogger } from '../../runtime/logger.ts'
import type { MaybePromise } from '../../runtime/maybe-promise.ts'
import { STORE_METHODS, type StateStore, type StoreUser } from '../../state/store.ts'
import { toUnderTest } from '../ports/contract.ts'
import { fail } from './expect.ts'

/** A store to check, with the functions that the rules about crashes, several processes and outages call. */
export interface StoreUnderTest {
  /** The store. Its state is empty and used by no other store. */
  readonly store: StateStore
  /**
   * Kills the process of the newest store (`store`, or the one that the last `crash` returned). A test imitates that as well as it can:
   * nothing is closed or flushed. Returns a store of a new process on the same state, once other processes can detect the death.
   */
  crash?: (() => MaybePromise<StateStore>) | undefined
  /** Returns a store of one more living process on the same state. */
  peer?: (() => MaybePromise<StateStore>) | undefined
  /**
   * Makes the state unreachable for every process, for so long that a silent process counts as dead, and then reachable again. No data
   * is lost. Resolves once slots are granted again, every living process has had the time to report, and a process that crashed before
   * the outage counts as dead.
   */
  outage?: (() => MaybePromise<void>) | undefined
  /** Closes every store that was made. Called once, after the rule was checked. */
  close?: (() => MaybePromise<void>) | undefined
}

/** Makes the store for one rule; called once for each rule. */
export type StoreFactory = () => MaybePromise<StateStore | StoreUnderTest>

/** The client that every store under test is attached to. */
export const USER: StoreUser = Object.freeze({ baseUrl: 'http://orchestrator.test', logger: silentLogger })

function attached(store: StateStore): StateStore {
  store.attach?.(USER)
  return store
}

/** The store on which one rule is checked. Attaches every store before the rule uses it. */
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
    return attached((await this.#subject.crash?.()) ?? fail('declared durable, but the result of the factory has no method crash'))
  }

  async peer(): Promise<StateStore> {
    return attached((await this.#subject.peer?.()) ?? fail('declared shared, but the result of the factory has no method peer'))
  }

  async outage(): Promise<void> {
    if (this.#subject.outage === undefined) fail('declared to have outages, but the result of the factory has no method outage')
    await this.#subject.outage()
  }

  async close(): Promise<void> {
    await this.#subject.close?.()
  }
}
