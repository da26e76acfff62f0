import { expectBoolean, expectFunction, expectOptions, type NamesOf } from '../../runtime/validate.ts'
import { type DeclareTest, type DescribeTests, runnerFunction } from '../test-runner.ts'
import type { ProvableRule } from './rule.ts'
import { RULES } from './rules.ts'
import { type StoreFactory, Trial } from './subject.ts'

/** Options of {@link describeStateStore}. */
export interface DescribeStateStoreOptions {
  /** The name of the group of tests. @default 'a state store' */
  readonly name?: string | undefined
  /** The test runner's `describe`. @default the global `describe` */
  readonly describe?: DescribeTests | undefined
  /** The test runner's `it`. @default the global `it` */
  readonly it?: DeclareTest | undefined
  /** Whether the journal and the ended ids survive the process. If so, the factory must return `crash`. @default false */
  readonly durable?: boolean | undefined
  /** Whether several processes share the state. If so, the factory must return `peer`. @default false */
  readonly shared?: boolean | undefined
  /** Whether the state can be unreachable for a while, as a server can. If so, the factory must return `outage`. @default false */
  readonly outage?: boolean | undefined
}

const OPTION_NAMES: NamesOf<DescribeStateStoreOptions> = {
  name: true,
  describe: true,
  it: true,
  durable: true,
  shared: true,
  outage: true,
}

/**
 * Declares one test for every rule that a {@link StateStore} must keep. One call checks a store that you wrote yourself.
 * Works with every test runner that has `describe` and `it`: vitest, jest, mocha and `node:test`.
 *
 * If a store has `attach`, each test calls it before any other method, as a client does, with the base URL `http://orchestrator.test`.
 *
 * @param factory makes a store whose state is empty and used by no other store; called once for each rule
 * @throws {@link InvalidArgumentError} if `describe` or `it` is neither passed nor global
 *
 * @example
 * import { describe, it } from 'node:test'
 * import { describeStateStore } from 'acestream-orchestrator-client/testing'
 *
 * describeStateStore(() => new MyStore(), { describe, it })
 *
 * @example
 * import { describe, it } from 'node:test'
 * import { describeStateStore } from 'acestream-orchestrator-client/testing'
 *
 * describeStateStore(
 *   async () => {
 *     const disk = new TemporaryDisk()
 *     let store = new MyStore(disk)
 *     return {
 *       store,
 *       crash: () => {
 *         disk.copyAsIs()
 *         store = new MyStore(disk)
 *         return store
 *       },
 *       close: () => store.close(),
 *     }
 *   },
 *   { describe, it, durable: true },
 * )
 *
 * @example
 * import { describe, it } from 'node:test'
 * import { describeStateStore } from 'acestream-orchestrator-client/testing'
 *
 * describeStateStore(
 *   async () => {
 *     const server = new TestServer()
 *     const stores: MyStore[] = []
 *     const open = () => {
 *       const store = new MyStore(server)
 *       stores.push(store)
 *       return store
 *     }
 *     return {
 *       store: open(),
 *       peer: open,
 *       outage: async () => {
 *         await server.stop()
 *         await server.start()
 *         for (const store of stores) store.renew()
 *       },
 *     }
 *   },
 *   { describe, it, shared: true, outage: true },
 * )
 */
export function describeStateStore(factory: StoreFactory, options: DescribeStateStoreOptions = {}): void {
  expectFunction('factory', factory)
  expectOptions(options, OPTION_NAMES)
  const { name = 'a state store', durable = false, shared = false, outage = false } = options
  const declared = {
    durable: expectBoolean('durable', durable),
    shared: expectBoolean('shared', shared),
    outage: expectBoolean('outage', outage),
  }
  const describe = runnerFunction('describe', options.describe)
  const it = runnerFunction('it', options.it)
  const rules = RULES.filter(({ needs }) => needs.every((need) => declared[need]))
  describe(name, () => {
    for (const rule of rules) it(`${rule.id} ${rule.text}`, () => checkRule(rule, factory))
  })
}

async function checkRule(rule: ProvableRule, factory: StoreFactory): Promise<void> {
  const trial = new Trial(await factory())
  try {
    await rule.prove(trial)
  } finally {
    await trial.close()
  }
}
