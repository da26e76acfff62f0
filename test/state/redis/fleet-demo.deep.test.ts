import { describe, expect, it } from 'vitest'
import { startExample } from '../../examples/processes.ts'
import { isRedisMissing } from '../../support/redis-server.ts'

describe.skipIf(isRedisMissing)('the demo with a fleet and a Redis', () => {
  it('keeps every promise when a proxy is killed, exits with 0, and breaks a promise without the store', async () => {
    const shared = startExample('fleet/main.ts')
    const alone = startExample('fleet/main.ts', ['--without-store'])
    const [sharedExit, aloneExit] = await Promise.all([shared.exit, alone.exit])
    const output = shared.output()
    expect(sharedExit, output).toBe(0)
    expect(output).toContain('Every promise was kept.')
    expect(output).not.toContain('BROKEN')
    expect(output).toMatch(/kept {4}no engine had more than 2 streams \(most: 2, /)
    expect(output).toMatch(/kept {4}the [1-9]\d* streams of the proxy that was killed were ended by the others/)
    expect(aloneExit, alone.output()).toBe(0)
    expect(alone.output()).toMatch(/BROKEN {2}the [1-9]\d* streams of the proxy that was killed were ended by the others/)
  })

  it('keeps every promise when its Redis is down for 20 s and comes back empty: the outage ends no stream', async () => {
    const { exit, output } = startExample('fleet/main.ts', ['--redis-outage'])
    expect(await exit, output()).toBe(0)
    expect(output()).toContain('Every promise was kept.')
    expect(output()).not.toContain('BROKEN')
    expect(output()).toMatch(/kept {4}no stream that ran through the outage was ended \(of [1-9]\d* \+ [1-9]\d* \+ [1-9]\d*, 0 were\)/)
    expect(output()).toMatch(/kept {4}the [1-9]\d* streams of the proxy that was killed were ended by the others/)
    expect(output()).toMatch(/refused \(.*store_unavailable: [1-9]/)
  })
})
