import { afterAll, describe, expect, it } from 'vitest'
import { FakeOrchestrator, ManualClock } from '../../src/testing/index.ts'
import { enginesOf, section } from './recordings.ts'
import { replay } from './replay.ts'

const SECTIONS = ['01-empty', '02-engines', '03-started', '04-ended', '04b-namesakes', '05-order', '06-claims']

describe('go-v1.jsonl, sections 01 to 06, one life of one server', () => {
  const steps = SECTIONS.flatMap((name) => section('v1', `${name}/`))
  const engines = enginesOf(steps[0])
  // 01-empty begins with two engines that it started itself.
  const fake = new FakeOrchestrator({ generation: 'v1', engines, maxReplicas: 6, clock: new ManualClock() })
  let count = 0

  afterAll(() => console.log(`v1: ${count} requests replayed`))

  for (const name of SECTIONS) {
    it(name, async () => {
      const own = steps.filter((step) => step.name.startsWith(`${name}/`))
      count += own.length
      expect(await replay(fake, 'v1', own)).toEqual([])
    })
  }
})
