import { describe, expect, it } from 'vitest'
import { replayed, used } from './replay.ts'
import { replayGo } from './replay-go.ts'
import { replayMoreGo } from './replay-go-more.ts'
import { replayPython } from './replay-python.ts'
import { replayMorePython } from './replay-python-more.ts'
import { UNMODELLED } from './unmodelled.ts'

// All replays are in one file, so that the last tests can check what they used.
replayGo()
replayPython()
replayMoreGo()
replayMorePython()

describe('all replays together', () => {
  it('use every entry of UNMODELLED', () => {
    expect(UNMODELLED.filter((entry) => !used.has(entry))).toEqual([])
  })

  it('compare 1,111 recorded responses', () => {
    expect(replayed).toEqual({ '2025-10': 339, '2026-04': 349, v1: 423 })
  })
})
