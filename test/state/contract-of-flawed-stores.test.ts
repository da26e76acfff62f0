import { describeStateStore, STATE_STORE_RULES } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { FLAWS_OF_OUTAGES } from './flaws-of-outages.ts'
import { FLAWS_OF_PROCESSES } from './flaws-of-processes.ts'
import { FLAWS_OF_RECORDS } from './flaws-of-records.ts'
import { FLAWS_OF_SLOTS } from './flaws-of-slots.ts'
import { type Flaw, flawed } from './world.ts'

const FLAWS = [...FLAWS_OF_SLOTS, ...FLAWS_OF_RECORDS, ...FLAWS_OF_PROCESSES, ...FLAWS_OF_OUTAGES]
const ALL = { durable: true, shared: true, outage: true }

/** The tests of a store with a flaw, by the id of their rule. */
function testsOf(flaw?: Flaw, declared = ALL): Map<string, () => Promise<void>> {
  const tests = new Map<string, () => Promise<void>>()
  describeStateStore(() => flawed(flaw), {
    describe: (_, body) => body(),
    it: (name, run) => void tests.set(name.split(' ')[0] ?? '', run),
    ...declared,
  })
  return tests
}

describe('the contract of stores', () => {
  it.each([...testsOf()])('rule %s is kept by a correct store that is durable, shared and has outages', async (_, run) => {
    await expect(run()).resolves.toBeUndefined()
  })

  it.each(FLAWS)('finds a store in which %s: rule %s fails', async (_, rule, flaw) => {
    await expect(testsOf(flaw).get(rule)?.()).rejects.toThrow(/: expected .*, got |was read after|unknown/s)
  })

  it('has no rule that all flawed stores keep', () => {
    const breakable = new Set(FLAWS.map(([, rule]) => rule))
    expect(STATE_STORE_RULES.filter(({ id }) => !breakable.has(id))).toEqual([])
  })

  it('has rules with distinct ids, and tests a rule only if the store is declared to have all properties that the rule needs', () => {
    expect(new Set(STATE_STORE_RULES.map(({ id }) => id)).size).toBe(STATE_STORE_RULES.length)
    const idsFor = (needs: readonly string[]) =>
      STATE_STORE_RULES.filter((rule) => rule.needs.every((need) => needs.includes(need))).map(({ id }) => id)
    for (let bits = 0; bits < 8; bits += 1) {
      const declared = { durable: (bits & 1) > 0, shared: (bits & 2) > 0, outage: (bits & 4) > 0 }
      const needs = (['durable', 'shared', 'outage'] as const).filter((need) => declared[need])
      expect([...testsOf(undefined, declared).keys()]).toEqual(idsFor(needs))
    }
  })
})
