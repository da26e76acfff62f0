import { expectBoolean, expectFunction, expectOptions, type NamesOf } from '../../runtime/validate.ts'
import { runnersOwn } from '../ports/contract.ts'
import type { ProvableRule } from './rule.ts'
import { RULES } from './rules.ts'
import { type StoreFactory, Trial } from './subject.ts'

/** How a test runner groups tests. */
export type DescribeTests = (name: string, body: () => void) => unknown

/** How a test runner declares a test: it passes when what `run` answers resolves. */
export type DeclareTest = (name: string, run: () => Promise<void>) => unknown

/** How a store is proved. */
export interface DescribeStateStoreOptions {
  /** What the group of tests is called. @default 'a state store' */
  readonly name?: string | undefined
  /** The test runner's. @default the global of that name */
  readonly describe?: DescribeTests | undefined
  /** The test runner's. @default the global of that name */
  readonly it?: DeclareTest | undefined
  /** Whether journal and ended ids outlive the process: `crash` is needed then. @default false */
  readonly durable?: boolean | undefined
  /** Whether several processes share the state: `peer` is needed then. @default false */
  readonly shared?: boolean | undefined
  /** Whether the state can be unreachable for a while, as that of a server can: `outage` is needed then. @default false */
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
 * Declares one test for every rule that a {@link StateStore} has to keep, so that a host that writes its own proves it with one line.
 * Needs no particular test runner: vitest, jest, mocha and `node:test` have a `describe` and an `it` that will do.
 *
 * Calls `attach` of every store that has it before any other method, as a client does, with the base URL `http://orchestrator.test`.
 *
 * @param factory makes a store, on a state of its own with nothing in it; called for every rule
 * @throws {@link InvalidArgumentError} where no `describe` or `it` is passed and there is no global one
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
  const describe = runnersOwn('describe', options.describe)
  const it = runnersOwn('it', options.it)
  const rules = RULES.filter(({ needs }) => needs.every((need) => declared[need]))
  describe(name, () => {
    for (const rule of rules) it(`${rule.id} ${rule.text}`, () => tryRule(rule, factory))
  })
}

async function tryRule(rule: ProvableRule, factory: StoreFactory): Promise<void> {
  const trial = new Trial(await factory())
  try {
    await rule.prove(trial)
  } finally {
    await trial.close()
  }
}
