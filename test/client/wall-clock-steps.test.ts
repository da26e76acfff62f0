import { describe, expect, it } from 'vitest'
import { setup } from '../support/setup.ts'
import { TIMED_STATES } from './states-in-time.ts'
import { notesOf, type TimedState } from './timed-world.ts'

const HOUR_MS = 3_600_000
const BACK = [
  ['set back by an hour', -HOUR_MS],
  ['set back by 50 years', -50 * 8_766 * HOUR_MS],
] as const
const STEPS = [['set forward by an hour', HOUR_MS], ...BACK] as const

/** The notes of each state while the wall clock is not set. */
const undisturbed = new Map<string, Promise<readonly string[]>>()

function undisturbedNotesOf(state: TimedState): Promise<readonly string[]> {
  const notes = undisturbed.get(state.name) ?? notesOf(state, 0, true)
  undisturbed.set(state.name, notes)
  return notes
}

describe.each(TIMED_STATES)('$name', (state) => {
  it('ends after the expected time', async () => {
    const notes = await undisturbedNotesOf(state)
    expect(notes.length).toBeGreaterThan(0)
    expect(notes).toEqual(expect.arrayContaining([...state.notes]))
  })

  it.each(STEPS)('ends after the same time when the wall clock is %s', async (_, stepMs) => {
    expect(await notesOf(state, stepMs, true)).toEqual(await undisturbedNotesOf(state))
  })

  it.each(BACK)('ends after the same time when a clock with only now() is %s', async (_, stepMs) => {
    expect(await notesOf(state, stepMs, false)).toEqual(await undisturbedNotesOf(state))
  })
})

describe('the expiry date of a new lease and the date of a health check', () => {
  it.each(STEPS)('follow the wall clock when it is %s', async (_, stepMs) => {
    const { clock, client } = setup({ engines: 1 })
    const first = await client.acquireEngine()
    const expiresAt = first.expiresAt.getTime()
    expect(expiresAt - clock.now()).toBe(60_000)
    clock.stepWallClock(stepMs)
    expect(first.expiresAt.getTime()).toBe(expiresAt)
    await first.release()
    expect((await client.acquireEngine()).expiresAt.getTime() - clock.now()).toBe(60_000)
    expect((await client.checkHealth()).checkedAt?.getTime()).toBe(clock.now())
  })
})
