import { describe, expect, it } from 'vitest'
import { startExample } from './processes.ts'

describe('the demo with --chaos', () => {
  it('keeps every promise and exits with 0; if one is broken, it names the promise and exits with 1', async () => {
    const good = startExample('demo/main.ts', ['--chaos', '--seed', '7'])
    const bad = startExample('demo/main.ts', ['--chaos', '--seed', '7', '--generation', 'v1', '--checked-limit', '0'])
    const [goodExit, badExit] = await Promise.all([good.exit, bad.exit])
    const output = good.output()
    expect(goodExit, output).toBe(0)
    expect(output).toContain('Every promise was kept.')
    expect(output).not.toContain('BROKEN')
    expect(output).toContain('kept    the orchestrator failed in every way')
    expect(output).toContain('kept    no engine had more than 2 sessions open')
    expect(output).toContain('kept    every viewer got bytes, or a Retry-After (0 did not)')
    expect(output).toContain('kept    every event was delivered (0 pending before the shutdown, 0 after)')
    expect(output).toContain('kept    the stream of another proxy was not ended')
    expect(output).toMatch(/63 came, \d+ served/)
    expect(output).toMatch(/\d+ viewers watched engines that died: [1-9]\d* continued in the same response/)
    expect(badExit, bad.output()).toBe(1)
    expect(bad.output()).toContain('BROKEN: no engine had more than 0 streams (most: ')
  })
})
