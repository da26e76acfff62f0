import { describe, expect, it } from 'vitest'
import { startExample } from './processes.ts'

describe('the demo with --crowd', () => {
  it.each(['2025-10', '2026-04', 'v1'])('on %s serves 500 viewers of five contents with five sessions', async (generation) => {
    const { exit, output } = startExample('demo/main.ts', ['--crowd', '--generation', generation])
    expect(await exit, output()).toBe(0)
    expect(output()).toContain('Every promise was kept.')
    expect(output()).toContain('500 came, 500 served, 0 refused, 0 failed')
    expect(output()).toContain('5 sessions and 5 starts for 5 contents')
  })

  it('exits with 1 if a promise is broken, and names the promise', async () => {
    const { exit, output } = startExample('demo/main.ts', ['--crowd', '--speed', '10', '--checked-limit', '0'])
    expect(await exit, output()).toBe(1)
    expect(output()).toContain('BROKEN: no engine had more than 0 streams (most: 1')
  })
})
