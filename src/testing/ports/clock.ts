import { type Clock, systemClock } from '../../runtime/clock.ts'
import type { MaybePromise } from '../../runtime/maybe-promise.ts'
import { turn } from '../../runtime/turn.ts'
import { expectFunction, expectOptions, type NamesOf } from '../../runtime/validate.ts'
import { expectSame, fail } from '../state-store/expect.ts'
import { type DescribePortOptions, declareRules, type PortRule, type ProvablePortRule, toRules, toUnderTest } from './contract.ts'

/** A clock to be proved, with how its time passes. */
export interface ClockUnderTest {
  readonly clock: Clock
  /** Lets this many milliseconds pass. @default they pass by themselves, as on the system's clock */
  readonly advance?: ((ms: number) => MaybePromise<unknown>) | undefined
  /** Sets the wall clock, by this many milliseconds. Without it the rule about that is not tried. */
  readonly stepWallClock?: ((deltaMs: number) => MaybePromise<unknown>) | undefined
  /** Called once when the rule has been tried. */
  readonly close?: (() => MaybePromise<unknown>) | undefined
}

/** Makes what one rule is tried on; called anew for every rule. */
export type ClockFactory = () => MaybePromise<Clock | ClockUnderTest>

interface Subject {
  readonly clock: Clock
  readonly advance: NonNullable<ClockUnderTest['advance']>
  readonly stepWallClock: ClockUnderTest['stepWallClock']
}

const METHODS: readonly (keyof Clock)[] = ['now', 'setTimeout']
/** Long enough for a unit that is wrong to show, short enough to wait for. */
const SHORT_MS = 20
const PASSED_MS = 60
/** Two clocks that differ by more than this factor count in different units. */
const SAME_UNIT = 10
/** The platform's `setTimeout` fires at once for anything longer than this. */
const LONGEST_TIMER_MS = 2_147_483_647

const RULES: readonly ProvablePortRule<Subject>[] = [
  {
    id: 'C1',
    text: 'now() and monotonic() answer finite milliseconds, which pass as time does',
    async prove({ clock, advance }) {
      for (const name of ['now', 'monotonic'] as const) {
        const read = (): number | undefined => clock[name]?.()
        const before = read()
        if (before === undefined && name === 'monotonic') continue
        await advance(PASSED_MS)
        const after = read()
        if (!Number.isFinite(before) || !Number.isFinite(after)) fail(`${name}(): expected finite numbers, got ${before} and ${after}`)
        // Platforms round, and a timer may be early by a moment.
        const passed = Number(after) - Number(before)
        if (passed < PASSED_MS / 2) fail(`${name}(): expected about ${PASSED_MS} to pass in as many milliseconds, got ${passed}`)
      }
      if (clock.monotonic === undefined) return
      // Each reading of monotonic() lies between two of now(), so that a machine which pauses in between changes nothing.
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
    text: 'a timer calls back once, when its time has passed and never while it is armed, also with a delay of 0',
    async prove({ clock, advance }) {
      const fired: string[] = []
      clock.setTimeout(() => fired.push('none'), 0)
      clock.setTimeout(() => fired.push('some'), SHORT_MS)
      clock.setTimeout(() => fired.push('keeps alive'), SHORT_MS, { keepsAlive: true })
      expectSame('timers that fired while they were armed', fired, [])
      await advance(PASSED_MS)
      expectSame('timers that fired', fired, ['none', 'some', 'keeps alive'])
      await advance(PASSED_MS)
      expectSame('timers that fired, later', fired.length, 3)
    },
  },
  {
    id: 'C3',
    text: 'timers fire in the order of their times, those of one time in the order in which they were armed',
    async prove({ clock, advance }) {
      const fired: string[] = []
      const delays = Object.entries({ late: SHORT_MS * 2, early: 1, second: SHORT_MS, third: SHORT_MS })
      for (let isArmed = false; !isArmed; ) {
        const before = systemClock.monotonic()
        const timers = delays.map(([name, delayMs]) => clock.setTimeout(() => fired.push(name), delayMs))
        // On a slow machine too much time may pass between two of these lines. Then their order is another one, and they are armed again.
        isArmed = systemClock.monotonic() - before < SHORT_MS / 2
        if (!isArmed) for (const timer of timers) timer.cancel()
      }
      await advance(PASSED_MS)
      expectSame('timers that fired', fired, ['early', 'second', 'third', 'late'])
    },
  },
  {
    id: 'C4',
    text: 'a timer that was cancelled never fires, and cancelling twice, or after it fired, does nothing',
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
    text: 'a callback may cancel its own timer, and arm another',
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
    text: 'a wall clock that is set changes now(), and neither monotonic() nor when a timer fires',
    async prove({ clock, advance, stepWallClock }) {
      if (stepWallClock === undefined) return
      for (const deltaMs of [-3_600_000, 3_600_000]) {
        const fired: string[] = []
        const [wall, steady] = [clock.now(), clock.monotonic?.()]
        clock.setTimeout(() => fired.push('timer'), SHORT_MS)
        await stepWallClock(deltaMs)
        await turn()
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

/** What `describeClock` proves of a clock. */
export const CLOCK_RULES: readonly PortRule[] = toRules(RULES)

const OPTION_NAMES: NamesOf<DescribePortOptions> = { name: true, describe: true, it: true }

/**
 * Declares one test for every rule that a {@link Clock} has to keep, under any test runner that has `describe` and `it`.
 *
 * @param factory makes a clock; called for every rule
 * @throws {@link InvalidArgumentError} where no `describe` or `it` is passed and there is no global one
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
    const { clock, advance = pass, stepWallClock, close = () => {} } = underTest
    return { subject: { clock, advance, stepWallClock }, close }
  })
}

/** Real time. The timers of a clock that are due earlier fire earlier, however slow the machine is. */
export async function pass(ms: number): Promise<void> {
  await new Promise<void>((resolve) => void systemClock.setTimeout(resolve, ms, { keepsAlive: true }))
  await turn()
}
