import { describe, expect, it, vi } from 'vitest'
import { ManualClock } from '../../src/testing/index.ts'

describe('ManualClock', () => {
  it('stands still until a test advances it', () => {
    const clock = new ManualClock(1_000)
    expect(clock.now()).toBe(1_000)
    expect(clock.pendingCount).toBe(0)
    expect(clock.nextDueMs).toBeUndefined()
  })

  it('fires timers in the order of their due times, and then in the order in which they were armed', async () => {
    const clock = new ManualClock(0)
    const fired: string[] = []
    const arm = (name: string, delayMs: number): void => void clock.setTimeout(() => fired.push(`${name}@${clock.now()}`), delayMs)
    arm('late', 30)
    arm('b1', 20)
    arm('a', 10)
    arm('b2', 20)
    arm('none', Number.NaN)
    arm('negative', -5)
    expect(clock.nextDueMs).toBe(0)
    await clock.advance(25)
    expect(fired).toEqual(['none@0', 'negative@0', 'a@10', 'b1@20', 'b2@20'])
    expect(clock.now()).toBe(25)
    expect(clock.pendingCount).toBe(1)
    expect(clock.nextDueMs).toBe(30)
  })

  it('fires timers that are armed and become due during an advance', async () => {
    const clock = new ManualClock(0)
    const fired: number[] = []
    const tick = (): void => {
      fired.push(clock.now())
      clock.setTimeout(tick, 10)
    }
    clock.setTimeout(tick, 10)
    await clock.advance(35)
    expect(fired).toEqual([10, 20, 30])
    expect(clock.pendingCount).toBe(1)
  })

  it('runs promise chains to their end before the first timer, between timers and after the last', async () => {
    const clock = new ManualClock(0)
    const seen: string[] = []
    const wait = (ms: number): Promise<void> => new Promise((resolve) => void clock.setTimeout(resolve, ms))
    async function work(): Promise<void> {
      await Promise.resolve()
      await wait(10) // armed only after a microtask
      for (let step = 0; step < 20; step++) await Promise.resolve()
      seen.push(`first@${clock.now()}`)
      await wait(10)
      for (let step = 0; step < 20; step++) await Promise.resolve()
      seen.push(`second@${clock.now()}`)
    }
    void work()
    clock.setTimeout(() => seen.push(`other@${clock.now()}`), 15)
    await clock.advance(20)
    expect(seen).toEqual(['first@10', 'other@15', 'second@20'])
  })

  it('cancels a timer, also from the callback of another one, and does nothing for a fired one', async () => {
    const clock = new ManualClock(0)
    const fired: string[] = []
    const second = clock.setTimeout(() => fired.push('second'), 10)
    const first = clock.setTimeout(() => {
      fired.push('first')
      second.cancel()
    }, 5)
    await clock.advance(20)
    first.cancel()
    second.cancel()
    expect(fired).toEqual(['first'])
    expect(clock.pendingCount).toBe(0)
  })

  it('fires all due timers if a callback throws, and then throws its error', async () => {
    const clock = new ManualClock(0)
    const fired: number[] = []
    clock.setTimeout(() => {
      throw new Error('first')
    }, 10)
    clock.setTimeout(() => fired.push(clock.now()), 20)
    await expect(clock.advance(30)).rejects.toThrow('first')
    expect(fired).toEqual([20])
    expect(clock.now()).toBe(30)
    for (const name of ['a', 'b']) {
      clock.setTimeout(() => {
        throw new Error(name)
      }, 1)
    }
    await expect(clock.advance(1)).rejects.toBeInstanceOf(AggregateError)
    await clock.advance(1)
    expect(clock.now()).toBe(32)
  })

  it('never moves time back when two advances overlap', async () => {
    const clock = new ManualClock(0)
    const seen: number[] = []
    for (const ms of [5, 10, 15]) clock.setTimeout(() => seen.push(clock.now()), ms)
    await Promise.all([clock.advance(20), clock.advance(10)])
    expect(seen).toEqual([5, 10, 15])
    expect(clock.now()).toBe(20)
  })

  it.each([-1, Number.NaN])('rejects an advance by %d', async (ms) => {
    await expect(new ManualClock().advance(ms)).rejects.toBeInstanceOf(RangeError)
  })

  it('works under the test runner’s fake timers too', async () => {
    vi.useFakeTimers()
    try {
      const clock = new ManualClock(0)
      let fired = false
      clock.setTimeout(() => {
        fired = true
      }, 10)
      await clock.advance(10)
      expect(fired).toBe(true)
    } finally {
      vi.useRealTimers()
    }
  })

  it('fires ten thousand timers in order', async () => {
    const clock = new ManualClock(0)
    const fired: number[] = []
    for (let index = 0; index < 10_000; index++) {
      const delayMs = (index * 7_919) % 10_007
      const timer = clock.setTimeout(() => fired.push(clock.now()), delayMs)
      if (index % 3 === 0) timer.cancel()
    }
    await clock.advance(10_007)
    expect(fired).toHaveLength(6_666)
    expect(fired).toEqual([...fired].sort((a, b) => a - b))
  })

  it('fires no timer when its wall clock is set, and keeps the remaining delays', async () => {
    const clock = new ManualClock(1_000)
    const fired: number[] = []
    clock.setTimeout(() => fired.push(clock.monotonic()), 50)
    clock.stepWallClock(3_600_000)
    clock.stepWallClock(-7_200_000)
    await clock.settle()
    expect([clock.now(), clock.monotonic(), clock.nextDueMs, fired]).toEqual([1_000 - 3_600_000, 1_000, 1_050 - 3_600_000, []])
    clock.setWallClock(0)
    expect([clock.now(), clock.monotonic(), clock.nextDueMs]).toEqual([0, 1_000, 50])
    await clock.advance(50)
    expect([clock.now(), clock.monotonic(), fired]).toEqual([50, 1_050, [1_050]])
  })

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('throws if its wall clock is set to %d', (ms) => {
    const clock = new ManualClock()
    expect(() => clock.setWallClock(ms)).toThrow(RangeError)
    expect(() => clock.stepWallClock(ms)).toThrow(RangeError)
  })
})
