import { describe, expect, it, vi } from 'vitest'
import { DAMAGES, images, tally } from './damage.ts'

// On the event loop: a thread for each of 16,000 files would take minutes.
vi.mock(import('node:worker_threads'), async (original) => (await import('./without-threads.ts')).withoutThreads(original))

describe.each(['closed', 'killed'] as const)('a state file whose process was %s', (how) => {
  it.each(Object.keys(DAMAGES))('never opens with other rows after %s (1,000 damaged copies)', (kind) => {
    const counts = tally(images()[how], kind, { seed: 7, times: 1_000 })
    expect(counts['silent'], JSON.stringify(counts)).toBeUndefined()
  })
})
