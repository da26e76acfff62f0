import { describe, expect, it } from 'vitest'
import { replayed, used } from './replay.ts'
import { replayGo } from './replay-go.ts'
import { replayMoreGo } from './replay-go-more.ts'
import { replayPython } from './replay-python.ts'
import { replayMorePython } from './replay-python-more.ts'
import { UNMODELLED } from './unmodelled.ts'

// One file, so that the last test knows what all of them needed.
replayGo()
replayPython()
replayMoreGo()
replayMorePython()

describe('the replay as a whole', () => {
  it('leaves nothing out that it need not', () => {
    expect(UNMODELLED.filter((entry) => !used.has(entry))).toEqual([])
  })

  it('has compared what it says', () => {
    expect(replayed).toEqual({ '2025-10': 339, '2026-04': 349, v1: 423 })
  })
})
