import { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { type Receipt, RetryBudget } from '../../src/streams/retry-budget.ts'
import { failureOf } from '../support/setup.ts'

/** A budget with so many streams affected, and so many first attempts made at second 0. */
function world(affected: number, firsts: number) {
  const clock = new ManualClock(0)
  const budget = new RetryBudget(clock)
  const recover = Array.from({ length: affected }, () => budget.affect())
  const first = (times: number): void => {
    for (let i = 0; i < times; i += 1) budget.first()
  }
  first(firsts)
  const granted: { name: string; receipt: Receipt }[] = []
  const ask = (name: string, signal = new AbortController().signal): Promise<unknown> =>
    budget.take(signal).then((receipt) => void granted.push({ name, receipt }))
  /** How many of so many asked for now are granted without time passing. */
  const grantedOf = async (times: number): Promise<number> => {
    const before = granted.length
    for (let i = 0; i < times; i += 1) void ask(`${i}`).catch(() => {})
    await clock.settle()
    return granted.length - before
  }
  const names = () => granted.map(({ name }) => name)
  return { clock, budget, recover, first, granted, ask, grantedOf, names }
}

/** Of 100 first attempts: 19 stay under 20 %, and one in 10 s goes anyhow. */
const AT_ONCE = 20

describe('the budget of repeated attempts', () => {
  it('is free for fifty streams, and binds from the fifty-first on', async () => {
    expect(await world(50, 0).grantedOf(500)).toBe(500)
    expect(await world(51, 100).grantedOf(500)).toBe(AT_ONCE)
  })

  it('lets one in ten seconds through where nothing new comes in, and waits by a timer only while somebody waits', async () => {
    const { clock, ask, granted } = world(51, 0)
    const abort = new AbortController()
    for (const name of ['a', 'b', 'c']) void ask(name, abort.signal).catch(() => {})
    await clock.advance(9_999)
    expect(granted.length).toBe(1)
    await clock.advance(1)
    expect(granted.length).toBe(2)
    abort.abort()
    await clock.settle()
    expect(clock.pendingCount).toBe(0)
  })

  it('counts the first attempts of the last minute, and the wasted ones of a second more', async () => {
    const fresh = world(51, 100)
    await fresh.clock.advance(59_999)
    expect(await fresh.grantedOf(30)).toBe(AT_ONCE)
    const old = world(51, 100)
    await old.clock.advance(60_000)
    expect(await old.grantedOf(30)).toBe(1)
    const wasted = world(51, 100)
    expect(await wasted.grantedOf(AT_ONCE)).toBe(AT_ONCE)
    await wasted.clock.advance(60_000)
    wasted.first(100)
    expect(await wasted.grantedOf(AT_ONCE)).toBe(1)
  })

  it('is given out in order of asking', async () => {
    const { clock, ask, grantedOf, first, names } = world(51, 100)
    await grantedOf(AT_ONCE)
    void ask('early')
    first(100)
    void ask('late')
    await clock.settle()
    expect(names().slice(AT_ONCE)).toEqual([])
    await clock.advance(1_000)
    expect(names().slice(AT_ONCE)).toEqual(['early', 'late'])
  })

  it('gets back what succeeded, with leave for one more, at once', async () => {
    const { clock, ask, grantedOf, granted, names } = world(51, 100)
    await grantedOf(AT_ONCE)
    for (const name of ['a', 'b', 'c']) void ask(name)
    granted[0]?.receipt.succeeded()
    await clock.settle()
    expect(names().slice(AT_ONCE)).toEqual(['a'])
    granted[1]?.receipt.succeeded()
    await clock.settle()
    expect(names().slice(AT_ONCE)).toEqual(['a', 'b'])
  })

  it('gets back what was not made, and no more', async () => {
    const { clock, ask, grantedOf, granted, names } = world(51, 100)
    await grantedOf(AT_ONCE)
    for (const name of ['a', 'b']) void ask(name)
    granted[0]?.receipt.unused()
    await clock.settle()
    expect(names().slice(AT_ONCE)).toEqual([]) // the one beyond the share is paid back first
    granted[1]?.receipt.unused()
    await clock.settle()
    expect(names().slice(AT_ONCE)).toEqual(['a'])
  })

  it('saves up no more than twenty attempts, and none while it is free', async () => {
    const rich = world(51, 1_000)
    await rich.grantedOf(30)
    for (const { receipt } of rich.granted) receipt.succeeded()
    expect(await rich.grantedOf(500)).toBe(199 + 20 + 1)
    const free = world(50, 0)
    await free.grantedOf(10)
    for (const { receipt } of free.granted) receipt.succeeded()
    free.budget.affect()
    expect(await free.grantedOf(10)).toBe(1)
  })

  it('is free again, and its savings are gone, once no more than fifty streams are affected', async () => {
    const { clock, budget, recover, ask, grantedOf, granted, names } = world(51, 100)
    await grantedOf(5)
    for (const { receipt } of granted) receipt.succeeded()
    recover.pop()?.()
    budget.affect()
    expect(await grantedOf(AT_ONCE)).toBe(AT_ONCE)
    void ask('parked')
    await clock.settle()
    expect(names().slice(-1)).not.toEqual(['parked'])
    recover.pop()?.()
    await clock.settle()
    expect(names().slice(-1)).toEqual(['parked'])
    expect(await grantedOf(500)).toBe(500)
  })

  it('passes on the turn of who left in the moment it came', async () => {
    const { clock, ask, grantedOf, granted, names } = world(51, 100)
    await grantedOf(AT_ONCE)
    const abort = new AbortController()
    const left = failureOf(ask('left', abort.signal))
    void ask('next')
    await clock.settle()
    granted[0]?.receipt.unused()
    granted[1]?.receipt.unused()
    abort.abort('gone')
    expect(await left).toBe('gone')
    await clock.settle()
    expect(names().slice(AT_ONCE)).toEqual(['next'])
    expect(clock.pendingCount).toBe(0)
  })
})
