import { describe, expect, it } from 'vitest'
import { DAMAGES, images, tally } from './damage.ts'

describe.each(['closed', 'killed'] as const)('a state file whose process was %s', (how) => {
  it.each(Object.keys(DAMAGES))('never loses anything in silence to %s: a thousand times', (kind) => {
    const counts = tally(images()[how], kind, { seed: 7, times: 1_000 })
    expect(counts['silent'], JSON.stringify(counts)).toBeUndefined()
  })
})
