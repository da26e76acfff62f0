import { type Clock, systemClock, waitOneTurn } from '../../runtime/clock.ts'
import type { MaybePromise } from '../../runtime/maybe-promise.ts'
import { expectFunction, expectOptions, type NamesOf } from '../../runtime/validate.ts'
import { expectSame, fail } from '../state-store/expect.ts'
import { type DescribePortOptions, declareRules, type PortRule, type ProvablePortRule, toRules, toUnderTest } from './contract.ts'

/** A clock to check, with the functions that move its time. */
export interface ClockUnderTest {
  readonly clock: Clock
  /** Lets `ms` milliseconds pass on the clock. @default the test waits in real time, as a system clock needs */
  readonly advance?: ((ms: number) => MaybePromise<unknown>) | undefined
  /** Sets the wall clock forward or back by `deltaMs` milliseconds. @default none: the rule about that is skipped */
  readonly stepWallClock?: ((deltaMs: number) => MaybePromise<unknown>) | undefined
  /** Closes the clock. Called once, after the rule was checked. */
  readonly close?: (() => MaybePromise<unknown>) | undefined
}

/** Makes the clock for one rule; called once for each rule. */
export type ClockFactory = () => MaybePromise<Clock | ClockUnderTest>

interface Subject {
  readonly clock: Clock
  readonly advance: NonNullable<ClockUnderTest['advance']>
  readonly stepWallClock: ClockUnderTest['stepWallClock']
}

const METHODS: readonly (keyof Clock)[] = ['now', 'setTimeout']
/** Long enough to reveal a wrong unit, short enough to wait in real time. */
const SHORT_MS = 20
const PASSED_MS = 60
/** If two clocks differ by more than this factor, they count in different units. */
const SAME_UNIT = 10
/** The longest delay of the platform's `setTimeout`: a longer one fires at once. */
const LONGEST_TIMER_MS = 2_147_483_647

const RULES: readonly ProvablePortRule<Subject>[] = [
  {
    id: 'C1',
    text: 'now() and monotonic() return finite numbers that grow by one each millisecond',
    async prove({ clock, advance }) {
      for (const name of ['now', 'monotonic'] as const) {
        const read = (): number | undefined => clock[name]?.()
        const before = read()
        if (before === undefined && name === 'monotonic') continue
        await advance(PASSED_MS)
        const after = read()
        if (!Number.isFinite(before) || !Number.isFinite(after)) fail(`${name}(): expected finite numbers, got ${before} and ${after}`)
        // Half is enough: platforms round, and a timer may fire slightly early.
        const passed = Number(after) - Number(before)
        if (passed < PASSED_MS / 2) fail(`${name}(): expected about ${PASSED_MS} to pass in as many milliseconds, got ${passed}`)
      }
      if (clock.monotonic === undefined) return
      // Read now() before and after each reading of monotonic(), so that a pause of the machine cannot fail the rule.
      const [startMs, before, startedMs] = [clock.now(), Number(clock.monotonic()), clock.now()]
      await advance(PASSED_MS)
      const [endMs, after, endedMs] = [clock.now(), Number(clock.monotonic()), clock.now()]
      const passed = after - before
      const [least, most] = [(endMs - startedMs) / SAME_UNIT, (endedMs - startMs) * SAME_UNIT]
      if (!(passed >= least && passed <= most)) {
        fail(`monotonic(): expected about the ${endedMs - startMs} milliseconds that pass on now(), got ${passed}`)
      }
    },
  },
  {
    id: 'C2',
    text: 'a timer fires once, after its delay; it never fires inside setTimeout, even with a delay of 0',
    async prove({ clock, advance }) {
      const fired: string[] = []
      clock.setTimeout(() => fired.push('none'), 0)
      clock.setTimeout(() => fired.push('some'), SHORT_MS)
      clock.setTimeout(() => fired.push('keeps alive'), SHORT_MS, { keepsAlive: true })
      expectSame('timers that fired inside setTimeout', fired, [])
      await advance(PASSED_MS)
      expectSame('timers that fired', fired, ['none', 'some', 'keeps alive'])
      await advance(PASSED_MS)
      expectSame('timers that fired, later', fired.length, 3)
    },
  },
  {
    id: 'C3',
    text: 'timers fire in the order of their due times, and timers with the same due time in the order in which they were armed',
    async prove({ clock, advance }) {
      const fired: string[] = []
      const delays = Object.entries({ late: SHORT_MS * 2, early: 1, second: SHORT_MS, third: SHORT_MS })
      for (let isArmed = false; !isArmed; ) {
        const before = systemClock.monotonic()
        const timers = delays.map(([name, delayMs]) => clock.setTimeout(() => fired.push(name), delayMs))
        // On a slow machine so much time may pass here that the due times change their order. Then arm the timers again.
        isArmed = systemClock.monotonic() - before < SHORT_MS / 2
        if (!isArmed) for (const timer of timers) timer.cancel()
      }
      await advance(PASSED_MS)
      expectSame('timers that fired', fired, ['early', 'second', 'third', 'late'])
    },
  },
  {
    id: 'C4',
    text: 'a cancelled timer never fires, and cancel does nothing when it is called twice or after the timer fired',
    async prove({ clock, advance }) {
      const fired: string[] = []
      const cancelled = clock.setTimeout(() => fired.push('cancelled'), SHORT_MS)
      const kept = clock.setTimeout(() => fired.push('kept'), SHORT_MS)
      cancelled.cancel()
      cancelled.cancel()
      await advance(PASSED_MS)
      kept.cancel()
      clock.setTimeout(() => fired.push('armed afterwards'), 1)
      kept.cancel()
      await advance(PASSED_MS)
      expectSame('timers that fired', fired, ['kept', 'armed afterwards'])
    },
  },
  {
    id: 'C5',
    text: 'a timer of more than 24.8 days does not fire at once',
    async prove({ clock, advance }) {
      let fired = 0
      const timer = clock.setTimeout(() => (fired += 1), LONGEST_TIMER_MS + 1)
      await advance(PASSED_MS)
      timer.cancel()
      expectSame('timers that fired', fired, 0)
    },
  },
  {
    id: 'C6',
    text: 'a callback may cancel its own timer and arm another one',
    async prove({ clock, advance }) {
      const fired: string[] = []
      const timer = clock.setTimeout(() => {
        timer.cancel()
        clock.setTimeout(() => fired.push('armed'), 1)
      }, SHORT_MS)
      await advance(PASSED_MS)
      await advance(PASSED_MS)
      expectSame('timers that fired', fired, ['armed'])
    },
  },
  {
    id: 'C7',
    text: 'setting the wall clock changes now(), but neither monotonic() nor the time at which a timer fires',
    async prove({ clock, advance, stepWallClock }) {
      if (stepWallClock === undefined) return
      for (const deltaMs of [-3_600_000, 3_600_000]) {
        const fired: string[] = []
        const [wall, steady] = [clock.now(), clock.monotonic?.()]
        clock.setTimeout(() => fired.push('timer'), SHORT_MS)
        await stepWallClock(deltaMs)
        await waitOneTurn()
        expectSame('timers that fired at the step', fired, [])
        if (Math.abs(clock.now() - wall - deltaMs) > Math.abs(deltaMs) / 2) fail(`now(): expected a step of ${deltaMs} ms`)
        const passed = steady === undefined ? 0 : Number(clock.monotonic?.()) - steady
        if (!(passed >= 0 && passed < Math.abs(deltaMs) / 2)) fail(`monotonic(): expected no step, got ${passed} ms`)
        await advance(PASSED_MS)
        expectSame('timers that fired in time', fired, ['timer'])
      }
    },
  },
]

/** The rules that `describeClock` checks. */
export const CLOCK_RULES: readonly PortRule[] = toRules(RULES)

const OPTION_NAMES: NamesOf<DescribePortOptions> = { name: true, describe: true, it: true }

/**
 * Declares one test for every rule that a {@link Clock} must keep. Works with every test runner that has `describe` and `it`.
 *
 * @param factory makes a clock; called once for each rule
 * @throws {@link InvalidArgumentError} if `describe` or `it` is neither passed nor global
 *
 * @example
 * import { describe, it } from 'node:test'
 * import { describeClock, ManualClock } from 'acestream-orchestrator-client/testing'
 *
 * describeClock(
 *   () => {
 *     const clock = new ManualClock() // your own
 *     return { clock, advance: (ms) => clock.advance(ms), stepWallClock: (deltaMs) => clock.stepWallClock(deltaMs) }
 *   },
 *   { describe, it },
 * )
 */
export function describeClock(factory: ClockFactory, options: DescribePortOptions = {}): void {
  expectFunction('factory', factory)
  expectOptions(options, OPTION_NAMES)
  declareRules({ ...options, name: options.name ?? 'a clock' }, RULES, async () => {
    const underTest = toUnderTest<ClockUnderTest>('clock', METHODS, await factory())
    const { clock, advance = waitRealTime, stepWallClock, close = () => {} } = underTest
    return { subject: { clock, advance, stepWallClock }, close }
  })
}

/** Waits in real time. Timers of a system clock that are due earlier have fired by then, however slow the machine is. */
export async function waitRealTime(ms: number): Promise<void> {
  await new Promise<void>((resolve) => void systemClock.setTimeout(resolve, ms, { keepsAlive: true }))
  await waitOneTurn()
}
