import { describe, expect, it } from 'vitest'
import { FakeOrchestrator, ManualClock } from '../../src/testing/index.ts'
import { enginesStartedOn, scenarios } from './recordings.ts'
import { replayStep } from './replay.ts'

/** Declares the tests of the numbered scenarios of the Python captures. */
export function replayPython(): void {
  describe.each(['2025-10', '2026-04'] as const)('replay of python-%s.jsonl, each scenario on its own fake orchestrator', (generation) => {
    for (const [name, steps] of [...scenarios(generation, '04-ended/'), ...scenarios(generation, '05-order/')]) {
      it(`gets the recorded responses in scenario ${name}`, async () => {
        const clock = new ManualClock()
        const fake = new FakeOrchestrator({ generation, engines: enginesStartedOn(steps), clock })
        for (const step of steps) {
          if (step.name.endsWith('12s_later')) await clock.advance(12_000)
          expect(await replayStep(fake, generation, step)).toEqual([])
        }
      })
    }
  })
}
