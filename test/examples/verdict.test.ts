import { describe, expect, it } from 'vitest'
import { ContentSessions } from '../../examples/demo/content-sessions.ts'
import { type Outcome, verdict } from '../../examples/demo/verdict.ts'

/** A run with one viewer in which every promise was kept. */
function outcome(events: { started: number; ended: number }, inside: Outcome['inside'] = {}): Outcome {
  const metrics = {
    requests: { total: 4, failed: 0, byRoute: {} },
    events: { ...events, misapplied: 0, duplicatesPrevented: 0, retried: 0, undeliverable: 0 },
  }
  return {
    viewers: [{ state: 'served', bytes: 1, reason: '' }],
    engines: [{ id: 'a', peak: 1, streamCount: 0 }],
    limit: 2,
    inside,
    proxy: { exitCode: 0, tookMs: 1, metrics, report: { viewersJoined: 9 } },
    isOtherStreamAlive: true,
    left: [],
  } as unknown as Outcome
}

describe('the verdict of the demo', () => {
  it('on a real orchestrator accepts one more end than starts: the response of a start may be lost', () => {
    expect(verdict(outcome({ started: 62, ended: 63 })).lines.at(-1)).toBe('Every promise was kept.')
  })

  it('on a real orchestrator says that a promise was broken if a started stream was not ended', () => {
    expect(verdict(outcome({ started: 63, ended: 62 })).lines.at(-1)).toContain(
      'BROKEN: every stream that was started was ended (63 starts, 62 ends)',
    )
  })

  it('on a fake orchestrator, which counts every applied event, rejects one more end than starts', () => {
    const { lines } = verdict(outcome({ started: 1, ended: 1 }, { startsApplied: 2, endsApplied: 2 }))
    expect(lines.at(-1)).toContain('BROKEN: every stream that was started was ended (1 starts, 2 ends)')
  })

  it('tells viewers, sessions, and the slots that sharing saved', () => {
    const inside = { startsApplied: 2, endsApplied: 1, sessionsOpened: 6 }
    expect(verdict(outcome({ started: 1, ended: 1 }, inside)).lines).toContain(
      'sessions  5 opened for 9 viewers who joined them: 4 slots saved',
    )
    expect(verdict(outcome({ started: 6, ended: 6 })).lines).toContain('sessions  6 opened for 9 viewers who joined them: 3 slots saved')
  })

  it('on a fake orchestrator says that a promise was broken if a content had two sessions open at once', () => {
    expect(verdict(outcome({ started: 1, ended: 1 }, { contentPeak: 1 })).lines.at(-1)).toBe('Every promise was kept.')
    expect(verdict(outcome({ started: 2, ended: 2 }, { contentPeak: 2 })).lines.at(-1)).toContain(
      'BROKEN: no content had more than 1 session open (most: 2)',
    )
  })
})

it('the fake engines of the demo count how many sessions one content had open at once, on all engines together', () => {
  const sessions = new ContentSessions()
  sessions.add('session 1', 'content a')
  sessions.add('session 2', 'content b')
  sessions.delete('session 1')
  sessions.add('session 3', 'content a')
  expect(sessions.peak).toBe(1)
  sessions.add('session 4', 'content a')
  sessions.delete('session 4')
  expect(sessions.peak).toBe(2)
})
