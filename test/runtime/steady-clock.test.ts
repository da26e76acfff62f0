import { type Clock, OrchestratorClient, SystemClock } from 'acestream-orchestrator-client'
import { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it, vi } from 'vitest'
import { SteadyClock } from '../../src/runtime/steady-clock.ts'

const HOUR_MS = 3_600_000

function nowOnly(clock: ManualClock): Clock {
  return { now: () => clock.now(), setTimeout: (callback, delayMs) => clock.setTimeout(callback, delayMs) }
}

describe('steady time', () => {
  it('begins at the time of the wall clock, and does not change when the wall clock is set', async () => {
    const clock = new ManualClock(1_000)
    const steady = SteadyClock.of(clock)
    for (const deltaMs of [HOUR_MS, -50 * 8_766 * HOUR_MS]) {
      const before = steady.now()
      clock.stepWallClock(deltaMs)
      expect([steady.now(), steady.wallNow()]).toEqual([before, clock.now()])
      await clock.advance(7)
      expect(steady.now()).toBe(before + 7)
    }
  })

  it('is one object for all users of the same clock', () => {
    const clock = new ManualClock()
    const steady = SteadyClock.of(clock)
    clock.stepWallClock(HOUR_MS)
    expect(SteadyClock.of(clock)).toBe(steady)
    expect(SteadyClock.of(steady)).toBe(steady)
  })

  it('loses at most the time since its last reading when a clock with only now() is set back', async () => {
    const clock = new ManualClock(0)
    const steady = SteadyClock.of(nowOnly(clock))
    await clock.advance(1_000)
    expect(steady.now()).toBe(1_000)
    await clock.advance(300)
    clock.stepWallClock(-HOUR_MS)
    expect(steady.now()).toBe(1_000)
    await clock.advance(500)
    expect(steady.now()).toBe(1_500)
  })

  it('counts a step forward of a clock with only now() as time that passed', async () => {
    const clock = new ManualClock(0)
    const steady = SteadyClock.of(nowOnly(clock))
    clock.stepWallClock(HOUR_MS)
    expect(steady.now()).toBe(HOUR_MS)
  })

  it('has reached the due time when a timer fires, even if the wall clock was set back and not read meanwhile', async () => {
    const clock = new ManualClock(0)
    const steady = SteadyClock.of(nowOnly(clock))
    const fired: number[] = []
    steady.setTimeout(() => fired.push(steady.now()), 10_000)
    await clock.advance(9_000)
    clock.stepWallClock(-HOUR_MS)
    await clock.advance(1_000)
    await clock.advance(50)
    expect([...fired, steady.now()]).toEqual([10_000, 10_050])
  })

  it('has reached the due time when a timer fires 0.6 ms early, and counts no time twice', () => {
    let monotonic = 0
    let fire = (): void => {}
    const early: Clock = {
      now: () => 0,
      monotonic: () => monotonic,
      setTimeout(callback) {
        fire = callback
        return { cancel: () => {} }
      },
    }
    const steady = SteadyClock.of(early)
    const seen: number[] = []
    steady.setTimeout(() => seen.push(steady.now()), 1_000)
    monotonic = 999.4
    fire()
    monotonic = 1_001
    expect([...seen, steady.now()]).toEqual([1_000, 1_001])
  })

  it('never goes back, even if the clock of the host does', () => {
    const readings = [5, 3, 9, 9, -100, -98, 4]
    const steady = SteadyClock.of({ now: () => 0, monotonic: () => readings.shift() ?? 4, setTimeout: () => ({ cancel: () => {} }) })
    expect(Array.from({ length: 6 }, () => steady.now())).toEqual([0, 6, 6, 6, 8, 110])
  })
})

describe('the system clock', () => {
  it('has a monotonic time in whole milliseconds, and fires a timer of 100 days when it is due', () => {
    vi.useFakeTimers()
    try {
      const clock = new SystemClock()
      const begunAt = clock.monotonic()
      const dayMs = 24 * HOUR_MS
      const firedAfter: number[] = []
      clock.setTimeout(() => firedAfter.push(clock.monotonic() - begunAt), 100 * dayMs)
      const cancelled = clock.setTimeout(() => firedAfter.push(-1), 60 * dayMs)
      vi.advanceTimersByTime(50 * dayMs)
      cancelled.cancel()
      vi.advanceTimersByTime(49 * dayMs)
      expect(firedAfter).toEqual([])
      vi.advanceTimersByTime(dayMs)
      expect(firedAfter).toEqual([100 * dayMs])
      expect(vi.getTimerCount()).toBe(0)
      expect(Number.isInteger(begunAt)).toBe(true)
    } finally {
      vi.useRealTimers()
    }
  })
})

it('a clock whose monotonic is not a function is rejected with an error that names clock.monotonic', () => {
  const clock = Object.assign(nowOnly(new ManualClock()), { monotonic: 5 }) as unknown as Clock
  expect(() => new OrchestratorClient({ baseUrl: 'http://orchestrator.test', clock })).toThrow('clock.monotonic')
})
