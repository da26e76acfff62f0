import { expect, it } from 'vitest'
import { Watchdog } from '../../src/runtime/periodic.ts'
import { SteadyClock } from '../../src/runtime/steady-clock.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'

function setup() {
  const clock = new ManualClock()
  const calls: number[] = []
  const startedAt = clock.now()
  const watchdog = new Watchdog(clock, 1_000, () => calls.push(clock.now() - startedAt))
  return { clock, calls, watchdog }
}

it('a watchdog sleeps until it is fed, calls once after that, and sleeps again', async () => {
  const { clock, calls, watchdog } = setup()
  await clock.advance(5_000)
  watchdog.feed()
  expect(watchdog.isAwake).toBe(true)
  await clock.advance(5_000)
  expect(calls).toEqual([6_000])
  expect([watchdog.isAwake, clock.pendingCount]).toEqual([false, 0])
})

it('it calls so long after it was fed last, with one timer however often that was', async () => {
  const { clock, calls, watchdog } = setup()
  for (let times = 0; times < 5; times += 1) {
    watchdog.feed()
    expect(clock.pendingCount).toBe(1)
    await clock.advance(300)
  }
  await clock.advance(5_000)
  expect(calls).toEqual([2_200])
})

it('it does not call once it was stopped', async () => {
  const { clock, calls, watchdog } = setup()
  watchdog.feed()
  watchdog.stop()
  expect([watchdog.isAwake, clock.pendingCount]).toEqual([false, 0])
  await clock.advance(5_000)
  expect(calls).toEqual([])
})

it('a clock that was set back by an hour does not make it wait an hour', async () => {
  const manual = new ManualClock()
  const clock = SteadyClock.of({ now: () => manual.now(), setTimeout: manual.setTimeout.bind(manual) })
  let calls = 0
  const watchdog = new Watchdog(clock, 1_000, () => (calls += 1))
  watchdog.feed()
  manual.stepWallClock(-3_600_000)
  await manual.advance(1_000)
  expect(calls).toBe(1)
})
