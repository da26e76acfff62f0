import { describe, expect, it } from 'vitest'
import { startExample } from './processes.ts'

describe('the demo with --rush', () => {
  it.each([
    ['2025-10', '20 served, 80 refused (general_error: 80)', '7 created'],
    ['2026-04', '6 served, 94 refused (full: 94)', '0 created'],
    ['v1', 'served', 'created'],
  ])('--rush on %s has a hundred viewers served or told why, and engines created by need', async (generation, outcome, created) => {
    const { exit, output } = startExample('demo/main.ts', ['--rush', '--speed', '3', '--generation', generation])
    expect(await exit, output()).toBe(0)
    expect(output()).toContain('Every promise was kept.')
    expect(output()).toContain(outcome)
    expect(output()).toContain(created)
    expect(output()).toMatch(/requests {2}\d+ for new engines/)
    expect(output()).toMatch(/waits +served \d+\.\d s at least/)
  })

  it('--rush exits with 1 when a promise is broken, and names it', async () => {
    const { exit, output } = startExample('demo/main.ts', ['--rush', '--speed', '20', '--checked-limit', '1'])
    expect(await exit, output()).toBe(1)
    expect(output()).toContain('BROKEN: no engine had more than 1 streams (most: 2')
  })
})
