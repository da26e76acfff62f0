import { expect, it } from 'vitest'
import { SteadyClock } from '../../src/runtime/steady-clock.ts'
import { Watchdog } from '../../src/runtime/timers.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'

function setup() {
  const clock = new ManualClock()
  const calls: number[] = []
  const startedAt = clock.now()
  const watchdog = new Watchdog(clock, 1_000, () => calls.push(clock.now() - startedAt))
  return { clock, calls, watchdog }
}

it('a watchdog does nothing until it is fed, calls back once 1 s later, and then does nothing again', async () => {
  const { clock, calls, watchdog } = setup()
  await clock.advance(5_000)
  watchdog.feed()
  expect(watchdog.isAwake).toBe(true)
  await clock.advance(5_000)
  expect(calls).toEqual([6_000])
  expect([watchdog.isAwake, clock.pendingCount]).toEqual([false, 0])
})

it('a watchdog calls back 1 s after it was last fed, with one timer for any number of feeds', async () => {
  const { clock, calls, watchdog } = setup()
  for (let times = 0; times < 5; times += 1) {
    watchdog.feed()
    expect(clock.pendingCount).toBe(1)
    await clock.advance(300)
  }
  await clock.advance(5_000)
  expect(calls).toEqual([2_200])
})

it('a watchdog that was stopped does not call back', async () => {
  const { clock, calls, watchdog } = setup()
  watchdog.feed()
  watchdog.stop()
  expect([watchdog.isAwake, clock.pendingCount]).toEqual([false, 0])
  await clock.advance(5_000)
  expect(calls).toEqual([])
})

it('a watchdog calls back after 1 s, even if the clock is set back by an hour', async () => {
  const manual = new ManualClock()
  const clock = SteadyClock.of({ now: () => manual.now(), setTimeout: manual.setTimeout.bind(manual) })
  let calls = 0
  const watchdog = new Watchdog(clock, 1_000, () => (calls += 1))
  watchdog.feed()
  manual.stepWallClock(-3_600_000)
  await manual.advance(1_000)
  expect(calls).toBe(1)
})
