import { describe, expect, it } from 'vitest'
import { startExample } from './processes.ts'

describe('the demo with --rush', () => {
  // How many are served depends on how fast the machine is. That each viewer gets an answer does not, nor how many engines they need.
  const VIEWERS = 100
  it.each(['2025-10', '2026-04', 'v1'])(
    '--rush on %s has a hundred viewers served or told why, and engines created by need',
    async (generation) => {
      const { exit, output } = startExample('demo/main.ts', ['--rush', '--speed', '3', '--generation', generation])
      expect(await exit, output()).toBe(0)
      expect(output()).toContain('Every promise was kept.')
      const [, came, served, refused = '0'] = /(\d+) came, (\d+) served(?:, (\d+) refused)?/.exec(output()) ?? []
      expect(Number(came), output()).toBe(VIEWERS)
      expect(Number(served), output()).toBeGreaterThan(0)
      expect(Number(served) + Number(refused), output()).toBe(VIEWERS)
      expect(Number(/(\d+) created/.exec(output())?.[1]), output()).toBeLessThanOrEqual(VIEWERS)
      expect(output()).toMatch(/requests {2}\d+ for new engines/)
      expect(output()).toMatch(/waits +served \d+\.\d s at least/)
    },
  )

  it('--rush exits with 1 when a promise is broken, and names it', async () => {
    const { exit, output } = startExample('demo/main.ts', ['--rush', '--speed', '20', '--checked-limit', '1'])
    expect(await exit, output()).toBe(1)
    expect(output()).toContain('BROKEN: no engine had more than 1 streams (most: 2')
  })
})
