import { describe, expect, it } from 'vitest'
import { DAMAGES, images, tally } from './damage.ts'

describe.each(['closed', 'killed'] as const)('a state file whose process was %s', (how) => {
  it.each(Object.keys(DAMAGES))('never opens with other rows after %s (1,000 damaged copies)', (kind) => {
    const counts = tally(images()[how], kind, { seed: 7, times: 1_000 })
    expect(counts['silent'], JSON.stringify(counts)).toBeUndefined()
  })
})
