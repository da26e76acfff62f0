import { describe, expect, it } from 'vitest'
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
    proxy: { exitCode: 0, tookMs: 1, metrics, report: {} },
    isBystanderAlive: true,
    left: [],
  } as unknown as Outcome
}

describe('the verdict of the demo', () => {
  it('on a real orchestrator counts the end of a stream whose start was applied and whose answer was lost', () => {
    expect(verdict(outcome({ started: 62, ended: 63 })).lines.at(-1)).toBe('Every promise was kept.')
  })

  it('on a real orchestrator is broken where a stream was started and not ended', () => {
    expect(verdict(outcome({ started: 63, ended: 62 })).lines.at(-1)).toContain(
      'BROKEN: every stream that was started was ended (63 starts, 62 ends)',
    )
  })

  it('on a fake orchestrator, which shows all that it applied, takes one end more than starts for a fault', () => {
    const { lines } = verdict(outcome({ started: 1, ended: 1 }, { startsApplied: 2, endsApplied: 2 }))
    expect(lines.at(-1)).toContain('BROKEN: every stream that was started was ended (1 starts, 2 ends)')
  })
})
