import { describe, expect, it } from 'vitest'
import { startExample } from './processes.ts'

describe('the demo with --rush', () => {
  // The number of served viewers depends on the speed of the machine. These checks do not: each viewer gets a response, and engines are
  // limited.
  const VIEWERS = 100
  it.each(['2025-10', '2026-04', 'v1'])(
    'on %s serves each of 100 viewers or refuses it with a reason, and creates engines as needed',
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
      expect(output()).toMatch(/waits +served \d+\.\d s minimum/)
    },
  )

  it('exits with 1 if a promise is broken, and names the promise', async () => {
    const { exit, output } = startExample('demo/main.ts', ['--rush', '--speed', '20', '--checked-limit', '1'])
    expect(await exit, output()).toBe(1)
    expect(output()).toContain('BROKEN: no engine had more than 1 streams (most: 2')
  })
})
